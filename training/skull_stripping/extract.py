"""The brain in a T1 or T1ce of a whole head.

One network finds the brain in the whole image, at 128 voxels a side; a second one outlines it in the box around it, at
256. Both were trained on upright heads, so the head is turned upright first if it is not. Both are float32 on every
processor: bfloat16 moves the outline.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.errors import InputError
from training.images.derived_grids import canonical_grid, shifted
from training.images.grid import Grid, Volume
from training.images.masks import bounding_box, large_components
from training.images.resample import index_map, resample_linear, resample_mask, resampled
from training.skull_stripping.border import closed
from training.skull_stripping.upright import Intensities, Rough, find_roughly, scaled_to, upside_down

if TYPE_CHECKING:
    import keras

_WEIGHTS = Path(__file__).parent / "weights"
#: Voxels a side of the outlining network's input.
_SIDE = 256
#: The box around the brain: a margin on each side, as a fraction of its size and at least so many mm; and its smallest
#: side in mm.
_MARGIN, _SMALLEST_MARGIN, _SMALLEST_SIDE = 0.1, 12, 120
#: Radius in voxels of 1 mm of the ball with which the mask is closed, so that tumor at the border stays inside.
_CLOSING = 5
#: A logit of background.
_OUTSIDE = -20.0


def brain_mask(volume: Volume, *, on_progress: Callable[[float], None] | None = None) -> Volume:
    """Find the brain in a T1 or T1ce of a whole head.

    The head may be tilted, defaced, or partly outside the field of view. In T2 and FLAIR the result is not reliable.

    Args:
        volume: The image, of any orientation and voxel size.
        on_progress: Called with the fraction done (0-1). May raise to stop the work.

    Returns:
        uint8 on the grid of ``volume``: 1 in the brain (with ventricles, tumor and cavities), 0 elsewhere.
        :func:`training.skull_stripping.check.check_brain` says what is wrong with it.

    Raises:
        InputError: If no brain is found, or the image holds one value.
    """
    report = on_progress or (lambda share: None)
    head = _canonical(volume)
    intensities = Intensities.of(head.data)
    report(0.1)
    rough = find_roughly(head, intensities, network("locate"))
    if not rough.inside.any():
        raise InputError("There is no brain in the image, or it is not a T1 or T1ce.", field="image")
    report(0.4)
    box = _box(rough)
    logits = _outlined(head, intensities, box)
    report(0.8)
    inside = Volume(closed(large_components(logits > 0, np.inf), _CLOSING), box)
    found = resample_mask(inside.data, index_map(box.affine, volume.grid.affine), volume.grid.shape)
    report(1.0)
    return Volume(found.astype(np.uint8), volume.grid)


def is_upside_down(volume: Volume, mask: Volume) -> bool:
    """Return whether a head stands on its crown, since its file is wrong about the orientation.

    Args:
        volume: As for :func:`brain_mask`.
        mask: What that returned.
    """
    head = _canonical(volume)
    brain_ml = float(np.count_nonzero(mask.data)) * mask.grid.voxel_ml
    return upside_down(head, brain_ml, Intensities.of(head.data), network("locate"))


def _canonical(volume: Volume) -> Volume:
    return resampled(volume, canonical_grid(volume.grid))


def _box(rough: Rough) -> Grid:
    """Return the box of 1 mm voxels around the brain; it may reach beyond the field of view."""
    found = bounding_box(rough.inside)
    assert found is not None
    start, shape = [], []
    for part, scale in zip(found, np.diag(rough.to_grid), strict=False):
        size = (part.stop - part.start) * scale
        side = round(max(size + 2 * max(_MARGIN * size, _SMALLEST_MARGIN), _SMALLEST_SIDE))
        start.append(round((part.start + part.stop) / 2 * scale - side / 2))
        shape.append(side)
    return shifted(rough.grid, start, shape)


def _outlined(head: Volume, intensities: Intensities, box: Grid) -> np.ndarray:
    """Return the logits of brain at each voxel of ``box``.

    What the image does not show is filled with its nearest voxels, so that the brain does not end where the image does.
    """
    to_box = scaled_to(box.shape, _SIDE)
    to_head = index_map(head.grid.affine, box.affine) @ to_box
    corners = Grid((_SIDE,) * 3, to_head).corners()
    beyond = [
        (max(0, int(np.ceil(-low))), max(0, int(np.ceil(high - side + 1))))
        for low, high, side in zip(corners.min(axis=0), corners.max(axis=0), head.data.shape, strict=True)
    ]
    padded = np.pad(head.data, beyond, mode="edge")
    to_padded = to_head.copy()
    to_padded[:3, 3] += [before for before, _ in beyond]
    image = intensities.normalized(resample_linear(padded, to_padded, (_SIDE,) * 3, intensities.low))
    logits = network("outline").predict_on_batch(image[None, ..., None])[0, ..., 0]
    return resample_linear(logits, np.linalg.inv(to_box), box.shape, _OUTSIDE)


@cache
def network(name: str) -> keras.Model:
    """Return a network with its weights: ``"locate"`` or ``"outline"``."""
    from training.hardware import prepare_backend
    from training.models.weights import load_weights, set_weights
    from training.skull_stripping.network import build_linknet

    prepare_backend()
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        model = build_linknet()
    finally:
        keras.config.set_dtype_policy(before)
    set_weights(model, load_weights(_WEIGHTS / f"{name}.npz"))
    return model
