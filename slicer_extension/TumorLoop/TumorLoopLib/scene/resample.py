"""Bringing the voxels of a segment's own array to the grid of a reference volume, in plain numpy.

Segments usually lie on the reference's grid, in an array that covers a part of it or extends beyond it. Such an array
is shifted by whole voxels and keeps its values. Otherwise each reference voxel takes the segment voxel nearest to its
center.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from TumorLoopLib.scene.bounding_box import EMPTY_BOX, Box, bounding_box

#: How far, in voxels, a segment may be off the reference's grid and still count as on it (rounding in files).
_TOLERANCE = 0.01


@dataclass(frozen=True)
class Resampled:
    """Voxels on the reference's grid.

    Attributes:
        box: Where ``array`` belongs in an array of the reference's shape ``(k, j, i)``.
        array: uint8, of the box's shape.
        on_grid: Whether a shift by whole voxels was enough.
        outside: How many nonzero voxels have their center outside the reference, and are lost.
    """

    box: Box
    array: np.ndarray
    on_grid: bool
    outside: int


def crop(array: np.ndarray, to_reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Crop an array to its content, with an affine that starts there; arguments as in :func:`resample`."""
    k, j, i = bounding_box(array)
    start = to_reference.copy()
    start[:3, 3] += to_reference[:3, :3] @ np.array([i.start, j.start, k.start], np.float64)
    return array[k, j, i], start


def resample(array: np.ndarray, to_reference: np.ndarray, shape: tuple[int, int, int]) -> Resampled:
    """Bring voxels to the reference's grid.

    Args:
        array: uint8 ``(k, j, i)``; 0 is background.
        to_reference: 4x4, from a voxel index (i, j, k) of ``array`` to one of the reference.
        shape: Of the reference, ``(k, j, i)``.
    """
    if not array.any():
        return Resampled(EMPTY_BOX, np.zeros((0, 0, 0), np.uint8), True, 0)
    shift = _whole_voxel_shift(to_reference, array.shape)
    if shift is None:
        return _nearest(array, to_reference, shape)
    box, part = [], []
    for low, size, end in zip(shift[::-1], array.shape, shape):
        begin = max(low, 0)
        stop = max(begin, min(low + size, end))
        box.append(slice(begin, stop))
        part.append(slice(begin - low, stop - low))
    inside = array[tuple(part)]
    complete = inside.shape == array.shape
    outside = 0 if complete else int(np.count_nonzero(array)) - int(np.count_nonzero(inside))
    return Resampled((box[0], box[1], box[2]), inside, True, outside)


def _whole_voxel_shift(to_reference: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Return by how many voxels (i, j, k) the two grids differ; ``None`` if they differ in any other way."""
    corners = _corners(shape)
    shift = np.round(to_reference[:3, 3])
    moved = corners @ to_reference[:3, :3].T + to_reference[:3, 3]
    if np.abs(moved - (corners + shift)).max() > _TOLERANCE:
        return None
    return int(shift[0]), int(shift[1]), int(shift[2])


def _nearest(array: np.ndarray, to_reference: np.ndarray, shape: tuple[int, int, int]) -> Resampled:
    """Give each reference voxel the value of the nearest voxel of ``array``."""
    outside = _centers_outside(array, to_reference, shape)
    moved = _corners(array.shape) @ to_reference[:3, :3].T + to_reference[:3, 3]
    reach = np.abs(to_reference[:3, :3]).sum(axis=1) / 2 + 1  # half a voxel around the centers
    low = np.maximum(np.floor(moved.min(axis=0) - reach).astype(int), 0)
    high = np.minimum(np.ceil(moved.max(axis=0) + reach).astype(int) + 1, shape[::-1])
    if np.any(high <= low):
        return Resampled(EMPTY_BOX, np.zeros((0, 0, 0), np.uint8), False, outside)
    result = np.zeros(tuple((high - low)[::-1]), np.uint8)
    back = np.linalg.inv(to_reference)
    i, j = np.arange(low[0], high[0]), np.arange(low[1], high[1])[:, None]
    for slab, k in enumerate(range(low[2], high[2])):  # one slab at a time keeps the index arrays small
        at = [np.floor(row[0] * i + row[1] * j + (row[2] * k + row[3]) + 0.5).astype(int) for row in back[:3]]
        valid = np.ones(at[0].shape, bool)
        for index, size in zip(at, array.shape[::-1]):
            valid &= (index >= 0) & (index < size)
        result[slab][valid] = array[at[2][valid], at[1][valid], at[0][valid]]
    return Resampled((slice(low[2], high[2]), slice(low[1], high[1]), slice(low[0], high[0])), result, False, outside)


def _centers_outside(array: np.ndarray, to_reference: np.ndarray, shape: tuple[int, int, int]) -> int:
    """Count the nonzero voxels whose centers lie in no voxel of the reference."""
    moved = np.argwhere(array)[:, ::-1] @ to_reference[:3, :3].T + to_reference[:3, 3]
    inside = np.all((moved >= -0.5) & (moved < np.array(shape[::-1]) - 0.5), axis=1)
    return int(np.count_nonzero(~inside))


def _corners(shape: tuple[int, ...]) -> np.ndarray:
    """Return the corner voxels' indices (i, j, k), 8x3."""
    return np.array(list(itertools.product(*((0.0, max(size - 1.0, 0.0)) for size in shape[::-1]))))
