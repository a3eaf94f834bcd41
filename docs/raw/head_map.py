"""Makes ``training/phantoms/head.npz``: the average head around the ICBM152 brain.

Source: ``pydeface/data/mean_reg2mean.nii.gz`` of pydeface 2.1.0 (MIT License), a mean T1 of whole heads::

    pip download --no-deps pydeface==2.1.0 && unzip pydeface-2.1.0-*.whl
    python -m docs.raw.head_map pydeface/data/mean_reg2mean.nii.gz head.npz

Affine registration to the brain of :mod:`training.phantoms.atlas`, 2 mm, 37 gray levels; 0 outside the head, one level
in the brain, which the phantoms do not take from it. Below MNI z = -134 mm the source ends obliquely, and is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from training.phantoms.atlas import load_atlas

#: The grid of the map: MNI millimeters of its first voxel, and its last.
_LOW, _HIGH = np.array([-110, -144, -134]), np.array([110, 144, 118])
_MM, _LEVEL, _SKIN, _BRAIN = 2, 16.0, 95.0, 12


def main(
    source: Annotated[Path, typer.Argument(help="The mean T1.")],
    output: Annotated[Path, typer.Argument(help="The map.")],
) -> None:
    """Register the mean head to ICBM152, and write the map."""
    import nibabel
    from scipy import ndimage

    image: Any = nibabel.as_closest_canonical(nibabel.load(source))
    mean = np.squeeze(image.get_fdata(dtype=np.float32))
    to_mean = _registered(mean, image.affine)
    shape = tuple((_HIGH - _LOW) // _MM + 1)
    smooth = ndimage.gaussian_filter(mean, 0.8)
    offset = to_mean[:3, :3] @ _LOW + to_mean[:3, 3]
    t1 = ndimage.affine_transform(smooth, to_mean[:3, :3] * _MM, offset, shape, order=1)
    levels = np.clip(np.round(t1 / _LEVEL), 1, 37).astype(np.uint8)
    head = _head(t1)
    levels[_near_brain(shape)] = _BRAIN
    levels[~head] = 0
    box = ndimage.find_objects(head)[0]
    origin = _LOW + _MM * np.array([part.start for part in box])
    np.savez_compressed(output, t1=levels[box], origin=origin.astype(np.int16))


def _registered(mean: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return the affine from MNI millimeters to voxels of the mean, by mutual information around the brain."""
    import SimpleITK as sitk

    atlas = load_atlas()
    # fluid is dark, and so is all around the brain
    brain = np.where(atlas.depth > 0, (0.6 + 0.4 * atlas.white) * (1 - np.clip(atlas.csf, 0, 1)), 0)
    fixed, moving = (sitk.GetImageFromArray(np.ascontiguousarray(one.T, np.float32)) for one in (brain, mean))
    near = sitk.GetImageFromArray(np.ascontiguousarray((atlas.depth > -4).T.astype(np.uint8)))
    for one in (fixed, near):
        one.SetOrigin(atlas.origin.astype(float).tolist())
    best = None
    start = np.linalg.inv(affine)
    for shift in ([0, y, z] for y in (-15, 0, 15) for z in (-20, 0, 20)):
        transform = sitk.AffineTransform(3)
        transform.SetMatrix(start[:3, :3].ravel().tolist())
        transform.SetTranslation((start[:3, 3] + shift).tolist())
        found = _refined(fixed, moving, near, transform, (4, 2), step=1.0, share=0.05)
        best = found if best is None or found[0] < best[0] else best
    assert best is not None
    _, transform = _refined(fixed, moving, near, best[1], (2, 1), step=0.3, share=0.2)
    corners = np.array([transform.TransformPoint(point.tolist()) for point in np.vstack([np.zeros(3), np.eye(3)])])
    result = np.eye(4)
    result[:3, 3], result[:3, :3] = corners[0], (corners[1:] - corners[0]).T
    return result


def _refined(
    fixed: Any, moving: Any, mask: Any, start: Any, shrink: tuple[int, ...], step: float, share: float
) -> tuple[float, Any]:
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(40)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(share, 1)
    method.SetMetricFixedMask(mask)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(step, 1e-3, 150)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(list(shrink))
    method.SetSmoothingSigmasPerLevel([float(factor) for factor in shrink])
    method.SetInitialTransform(start, inPlace=False)
    found = method.Execute(fixed, moving)
    return method.GetMetricValue(), sitk.AffineTransform(sitk.CompositeTransform(found).GetBackTransform())


def _head(t1: np.ndarray) -> np.ndarray:
    """Return the head, boolean, without headrest and ears' cushions."""
    from scipy import ndimage

    def ball(radius: int) -> np.ndarray:
        return np.linalg.norm(np.indices((2 * radius + 1,) * 3) - radius, axis=0) <= radius + 0.2

    labeled, _ = ndimage.label(ndimage.binary_opening(t1 > _SKIN, ball(2)))
    head = labeled == np.argmax(np.bincount(labeled.ravel())[1:]) + 1
    head = ndimage.binary_closing(np.pad(head, 14), ball(7))[14:-14, 14:-14, 14:-14]
    head = np.stack([ndimage.binary_fill_holes(head[:, :, k]) for k in range(head.shape[2])], axis=2)
    return ndimage.binary_opening(head, ball(3))


def _near_brain(shape: tuple[int, ...]) -> np.ndarray:
    from scipy import ndimage

    atlas = load_atlas()
    index = np.indices(shape).reshape(3, -1) * _MM + (_LOW - atlas.origin)[:, None]
    inside = np.all((index >= 0) & (index < np.array(atlas.depth.shape)[:, None]), axis=0)
    depth = ndimage.map_coordinates(atlas.depth, index, order=1, mode="nearest")
    return ((depth > -2) & inside).reshape(shape)


if __name__ == "__main__":
    typer.run(main)
