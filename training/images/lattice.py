"""Labelmaps on the voxels of another grid: cropped to their extent, padded, or with other axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.errors import InputError
from training.images.grid import Grid, Volume, matching_name, transform_points
from training.images.resample import copy_voxels, index_map, whole_voxels


def on_grid(label: Volume, grid: Grid) -> Volume | None:
    """Return a labelmap on a grid of whose voxels it is a part, exactly; ``None`` if it lies elsewhere or between them.

    3D Slicer can crop a segmentation to its extent, and other programs reorder axes; what such a labelmap does not
    cover is background.

    Args:
        label: The labelmap.
        grid: For instance that of the reference volume.

    Raises:
        InputError: If labels lie outside the grid: they must not be lost.
    """
    if label.grid.matches(grid):
        return Volume(label.data, grid)
    to_label = _shared_voxels(label.grid, grid)
    if to_label is None:
        return None
    moved = copy_voxels(label.data, to_label, grid.shape)
    outside = np.count_nonzero(label.data) - np.count_nonzero(moved)
    if outside:
        raise InputError(
            f"{outside:,} labeled voxels ({outside * grid.voxel_ml:.1f} mL) lie outside the reference volume. "
            "Is it the label of this case?",
            field="label",
        )
    return Volume(moved, grid)


def shares_voxels(label: Grid, grid: Grid) -> bool:
    """Return whether :func:`on_grid` can place a labelmap of one grid on another, if no label lies outside."""
    return label.matches(grid) or _shared_voxels(label, grid) is not None


def _shared_voxels(label: Grid, grid: Grid) -> np.ndarray | None:
    """Return the integer map from indices of ``grid`` to those of ``label``, by either affine of a file.

    One grid must be a part of the other: a labelmap of the same shape that is merely shifted belongs to another image.
    """
    for affine in (grid.affine, grid.itk_affine):
        found = whole_voxels(index_map(label.affine, affine), grid.shape)
        if found is not None:
            ends = np.sort(transform_points(found, np.array([[0, 0, 0], np.array(grid.shape) - 1])), axis=0)
            last = np.array(label.shape) - 1
            part = np.all(ends[0] <= 0) and np.all(ends[1] >= last)
            larger = np.all(ends[0] >= 0) and np.all(ends[1] <= last)
            return found if part or larger else None
    return None


def on_one_of(label: Volume, grids: Mapping[str, Grid]) -> tuple[str, Volume] | None:
    """Return the first grid that a labelmap has, or else the first whose voxels it shares, and the labelmap on it.

    Args:
        label: The labelmap.
        grids: By role, the preferred one first.

    Returns:
        The role, and the labelmap on exactly that grid; ``None`` if it lies on none of them.

    Raises:
        InputError: If labels lie outside each grid whose voxels they share.
    """
    same = matching_name(label.grid, grids)
    if same is not None:
        return same, Volume(label.data, grids[same])
    outside: InputError | None = None
    for role, grid in grids.items():
        try:
            moved = on_grid(label, grid)
        except InputError as error:
            outside = outside or error
            continue
        if moved is not None:
            return role, moved
    if outside is not None:
        raise outside
    return None
