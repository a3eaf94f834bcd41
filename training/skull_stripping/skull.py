"""Whether a volume shows the skull and the scalp, or was stripped.

Below the surface of a head lie the scalp, bright but for fat suppression, then the skull, dark in every sequence, then
the brain. Below that of a stripped brain lies the brain. Rays from the center of the tissue to the upper half of its
surface tell both apart, also where the tissue has less volume than a head because a part of it is outside the field of
view.
"""

from __future__ import annotations

import numpy as np

from training.images.grid import Grid, Volume, transform_points
from training.images.masks import large_components
from training.images.tissue import LARGEST_BRAIN_ML, Tissue, find_tissue

#: Sampled voxels are about this far apart: enough for a skull, and a head takes a tenth of a second.
_SAMPLED_MM = 2.0
#: Rays are this many degrees apart; patches of 20 x 20 degrees share one profile, their median, so that a sulcus, which
#: is dark below one gyrus, does not count as a skull.
_DEGREES, _PATCH = 5, 4
#: Lowest and highest rays, in degrees above the horizon: below them are the face and the neck.
_LOWEST, _HIGHEST = -10, 90
#: Rays sample every millimeter up to this distance from the center.
_REACH_MM = 160
#: Depths below the surface, in mm, where scalp, skull and brain lie.
_SCALP_MM, _SKULL_MM, _BRAIN_MM = 8, 20, 36
#: Brightness of the skull relative to scalp and brain (the darker of both), median over the patches. Measured 0.07 to
#: 0.68 in heads, whole, defaced and halved, and 0.88 to 1.0 in stripped brains, all four modalities.
_DARK = 0.75
#: Less tissue is no head, nor a part of one that could be stripped.
_SMALLEST_ML = 100.0
#: Share of the tissue that is darker than the background of a volume that was normalized; 0 in one as it was scanned.
_BELOW_BACKGROUND = 0.2
#: Fewer patches, as in a thin slab, say nothing.
_FEWEST_PATCHES = 6


def shows_skull(volume: Volume) -> bool:
    """Return whether a volume shows more than a brain: skull and scalp, also of a defaced head or of a part of one.

    Takes a tenth of a second.

    Args:
        volume: One modality, any of the four, of any orientation and voxel size.
    """
    sampled = _sampled(volume)
    tissue = find_tissue(sampled.data, sampled.grid.voxel_ml)
    tissue_ml = float(np.count_nonzero(tissue.mask)) * sampled.grid.voxel_ml
    if not _SMALLEST_ML < tissue_ml <= LARGEST_BRAIN_ML:
        return tissue_ml > LARGEST_BRAIN_ML
    contrasts = _skull_contrasts(sampled, tissue)
    found = tissue.noisy if len(contrasts) < _FEWEST_PATCHES else float(np.median(contrasts)) < _DARK
    return found and not _normalized(sampled, tissue)


def _normalized(volume: Volume, tissue: Tissue) -> bool:
    """Return whether the background is brighter than much of the tissue, as after a z-score of the brain alone.

    No scanner does that; and the brightness of such a volume has no zero, so that the skull cannot be told by it.
    """
    inside, outside = volume.data[tissue.mask], volume.data[~tissue.mask]
    return outside.size > 0 and float(np.mean(inside < np.median(outside))) > _BELOW_BACKGROUND


def _sampled(volume: Volume) -> Volume:
    """Return every n-th voxel along each axis, without smoothing: the background keeps its values."""
    steps = [max(1, int(_SAMPLED_MM / spacing + 0.01)) for spacing in volume.grid.spacing]
    data = volume.data[tuple(slice(None, None, step) for step in steps)]
    x, y, z = data.shape
    return Volume(data, Grid((x, y, z), volume.grid.affine @ np.diag([*steps, 1.0])))


def _skull_contrasts(volume: Volume, tissue: Tissue) -> np.ndarray:
    """Return the brightness of what may be skull relative to scalp and brain, one value per patch of the surface."""
    profiles, seen = _profiles(volume, tissue)
    found = []
    for row in range(0, profiles.shape[0], _PATCH):
        for column in range(0, profiles.shape[1], _PATCH):
            patch = np.s_[row : row + _PATCH, column : column + _PATCH]
            if np.count_nonzero(seen[patch]) < _PATCH**2 / 2:
                continue
            profile = np.median(profiles[patch][seen[patch]], axis=0)
            brightest = int(np.argmax(profile[:_SCALP_MM]))
            brain = float(np.median(profile[_SKULL_MM:_BRAIN_MM]))
            skull = float(profile[brightest:_SKULL_MM].min())
            found.append(skull / max(min(float(profile[brightest]), brain), 1e-6))
    return np.asarray(found)


def _profiles(volume: Volume, tissue: Tissue) -> tuple[np.ndarray, np.ndarray]:
    """Sample the volume along rays, from the surface of the tissue inward.

    Returns:
        ``(azimuth, elevation, depth in mm)``: difference from the background; and ``(azimuth, elevation)`` bool: where
        the surface was found, within the field of view.
    """
    from scipy import ndimage

    mask = large_components(ndimage.binary_opening(tissue.mask), np.inf)
    if not mask.any():
        return np.zeros((1, 1, _BRAIN_MM), np.float32), np.zeros((1, 1), bool)
    center = transform_points(volume.grid.affine, np.argwhere(mask).mean(axis=0))
    azimuth = np.deg2rad(np.arange(0, 360, _DEGREES))[:, None]
    elevation = np.deg2rad(np.arange(_LOWEST, _HIGHEST, _DEGREES))[None]
    directions = np.stack(
        np.broadcast_arrays(
            np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)
        ),
        axis=-1,
    )
    points = center + directions[:, :, None] * np.arange(_REACH_MM)[:, None]
    index = np.rint(transform_points(np.linalg.inv(volume.grid.affine), points)).astype(int)
    inside = np.all((index >= 0) & (index < volume.grid.shape), axis=-1)
    i, j, k = np.moveaxis(np.clip(index, 0, np.asarray(volume.grid.shape) - 1), -1, 0)
    surface = _REACH_MM - 1 - np.argmax((mask[i, j, k] & inside)[..., ::-1], axis=-1)  # the last tissue along each ray
    seen = (surface > _BRAIN_MM) & (surface < np.count_nonzero(inside, axis=-1) - 3)
    depths = np.clip(surface[..., None] - np.arange(_BRAIN_MM), 0, None)
    values = np.abs(volume.data[i, j, k].astype(np.float32) - tissue.background)
    return np.take_along_axis(values, depths, axis=-1), seen
