"""The brain in a T1 or T1ce of a whole head.

One network finds the brain in the whole image, at 128 voxels a side; a second one outlines it in the box around it, at
256. Both see the head's axes run to R, A, S.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.errors import InputError
from training.images.derived_grids import canonical_grid
from training.images.grid import Grid, Volume
from training.images.masks import Box, bounding_box, large_components
from training.images.resample import Shape, index_map, resample_linear, resample_mask
from training.images.tissue import fill_holes

if TYPE_CHECKING:
    import keras

_WEIGHTS = Path(__file__).parent / "weights"
#: Voxels a side of the networks' inputs.
_LOCATE_SIDE, _OUTLINE_SIDE = 128, 256
#: Percentiles of the whole image between which intensities are kept, and the mean and standard deviation that they
#: then get; as in the training of the networks.
_PERCENTILES = (0.5, 99.5)
_MEAN, _DEVIATION = 0.449, 0.226
#: Added to the box of the brain on each side, as a fraction of its size.
_MARGIN = 0.1
#: Radius of the ball with which the mask is closed, so that tumor at the border stays inside.
_CLOSING_MM = 5


def brain_mask(volume: Volume, *, on_progress: Callable[[float], None] | None = None) -> Volume:
    """Find the brain in a T1 or T1ce of a whole head.

    Args:
        volume: The image, of any orientation and voxel size.
        on_progress: Called with the fraction done (0-1). May raise to stop the work.

    Returns:
        uint8 on the grid of ``volume``: 1 in the brain (with ventricles, tumor and cavities), 0 elsewhere.

    Raises:
        InputError: If no brain is found.
    """
    report = on_progress or (lambda share: None)
    grid = canonical_grid(volume.grid)
    background = float(np.percentile(volume.data, _PERCENTILES[0]))
    head = resample_linear(volume.data, index_map(volume.grid.affine, grid.affine), grid.shape, background)
    low, high = (float(each) for each in np.percentile(head[::2, ::2, ::2], _PERCENTILES))
    if high <= low:
        raise InputError("The image holds one value nearly everywhere; there is no brain in it.", field="image")
    report(0.1)
    whole: Box = tuple(slice(0, side) for side in grid.shape)  # type: ignore[assignment]
    rough = _probability("locate", head, low, high, whole, _LOCATE_SIDE) > 0.5
    if not rough.any():
        raise InputError("There is no brain in the image, or it is not a T1 or T1ce.", field="image")
    report(0.3)
    box = _widened(bounding_box(large_components(rough, np.inf)), grid)
    mask = np.zeros(grid.shape, bool)
    outlined = _probability("outline", head[box], low, high, box, _OUTLINE_SIDE) > 0.5
    report(0.8)
    mask[box] = _closed(large_components(outlined, np.inf))
    found = resample_mask(mask, index_map(grid.affine, volume.grid.affine), volume.grid.shape)
    report(1.0)
    return Volume(found.astype(np.uint8), volume.grid)


def _widened(box: Box | None, grid: Grid) -> Box:
    assert box is not None
    margins = [round(_MARGIN * (part.stop - part.start)) for part in box]
    return tuple(  # type: ignore[return-value]
        slice(max(0, part.start - margin), min(side, part.stop + margin))
        for part, margin, side in zip(box, margins, grid.shape, strict=True)
    )


def _probability(name: str, head: np.ndarray, low: float, high: float, box: Box, side: int) -> np.ndarray:
    """Return the probability of brain at each voxel of ``head``, computed at ``side`` voxels a side."""
    own: Shape = tuple(head.shape)  # type: ignore[assignment]
    shape = (side, side, side)
    scaling = np.diag([*(np.asarray(head.shape) / side), 1.0])
    scaling[:3, 3] = (np.asarray(head.shape) / side - 1) / 2  # corners of the boxes coincide, not centers of voxels
    image = resample_linear(head, scaling, shape, low)
    image = np.clip((image - low) / (high - low), 0, 1)
    image = _DEVIATION * (image - image.mean()) / image.std() + _MEAN
    logits = _network(name).predict_on_batch(image[None, ..., None].astype(np.float32))[0, ..., 0]
    return 1 / (1 + np.exp(-resample_linear(logits, np.linalg.inv(scaling), own, -20.0)))


def _closed(mask: np.ndarray) -> np.ndarray:
    """Close ``mask`` (1 mm voxels) with a ball and fill its holes."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    closed = sitk.BinaryMorphologicalClosing(image, (_CLOSING_MM,) * 3, sitk.sitkBall)
    return fill_holes(sitk.GetArrayViewFromImage(closed) > 0)


@cache
def _network(name: str) -> keras.Model:
    from training.hardware import prepare_backend
    from training.models.weights import load_weights, set_weights
    from training.skull_stripping.network import build_linknet

    prepare_backend()
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # bfloat16 moves the outline by a voxel
    try:
        network = build_linknet()
    finally:
        keras.config.set_dtype_policy(before)
    set_weights(network, load_weights(_WEIGHTS / f"{name}.npz"))
    return network
