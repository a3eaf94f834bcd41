"""Recognizes modalities that hold the same voxels: one series given twice, under two names."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from training.errors import InputError
from training.modalities import ROLES, display_name
from training.preparation.ranks import ranks

# Measured on 14 patients, 2 of them also as scanned, and 30 phantoms. Two modalities of one head: at most 0.91 voxel by
# voxel, and 0.95 by blocks (T1 and T1 with contrast of tumors that do not enhance). Copies with another scale, offset,
# data type, orientation or padding, or with three outliers: 0.998 and more voxel by voxel. Copies that were resampled,
# smoothed by up to 1 mm, or have another gamma or histogram: by blocks 0.98 and more, nearly all.
_SAME = 0.998
_NEARLY_SAME = 0.98
_BLOCK_MM = 4.0
#: Less tissue may look alike by chance.
_SMALLEST_ML = 50.0
#: Number of blocks that a comparison needs; an adult brain has more than 15,000.
_FEWEST_BLOCKS = 4000


def check_same_voxels(values: Mapping[str, np.ndarray], inside: np.ndarray, spacing_mm: float) -> tuple[str, ...]:
    """Compare every two modalities, whatever their scale and offset.

    Args:
        values: By role, ``(x, y, z)`` real on one isotropic grid.
        inside: Where all of them show tissue: ``(x, y, z)`` bool.
        spacing_mm: Voxel size of the grid.

    Returns:
        A warning for every two that are nearly the same: resampled, smoothed, or with another gamma.

    Raises:
        InputError: If two are the same; ``field`` is the second of them.
    """
    roles = [role for role in ROLES if role in values]
    if np.count_nonzero(inside) * spacing_mm**3 < 1000 * _SMALLEST_ML:
        return ()
    sampled = np.flatnonzero(inside)[:: max(1, np.count_nonzero(inside) // 100_000)]
    voxels = {role: _standardized(values[role].ravel()[sampled]) for role in roles}
    for first, second in combinations(roles, 2):
        if _correlation(voxels[first], voxels[second]) >= _SAME:
            raise InputError(
                f"{display_name(first)} and {display_name(second)} hold the same voxels: one series was given twice. "
                "Give the right one, or leave out the wrong one and allow missing modalities (--allow-missing).",
                field=second,
                roles=(first, second),
            )
    size = max(1, round(_BLOCK_MM / spacing_mm))
    whole = _block_means(inside, size) > 1 - 1e-6
    if np.count_nonzero(whole) < _FEWEST_BLOCKS:
        return ()
    blocks = {role: _standardized(ranks(_block_means(values[role], size)[whole])) for role in roles}
    return tuple(
        f"{display_name(first)} and {display_name(second)} are almost the same image: was one series given twice? "
        "Check the files before you use the result."
        for first, second in combinations(roles, 2)
        if _correlation(blocks[first], blocks[second]) >= _NEARLY_SAME
    )


def _standardized(values: np.ndarray) -> np.ndarray:
    """Return values of mean 0 and standard deviation 1, so that a few outliers in one copy change little."""
    clipped = np.clip(values, *np.percentile(values, [0.1, 99.9])).astype(np.float64)
    deviation = float(clipped.std())
    return (clipped - clipped.mean()) / deviation if deviation > 0 else np.zeros(clipped.shape)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second) / first.size


def _block_means(array: np.ndarray, size: int) -> np.ndarray:
    """Return the means of cubes of ``size`` voxels; incomplete ones at the far ends are left out."""
    whole = tuple(slice(side // size * size) for side in array.shape)
    sums = array[whole].astype(np.float32, copy=False)
    for axis in range(3):  # much faster than the mean over three axes of six
        along = np.moveaxis(sums, axis, 0)
        sums = np.moveaxis(sum(along[first::size] for first in range(1, size)) + along[::size], 0, axis)
    return sums / np.float32(size**3)
