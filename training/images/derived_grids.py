"""Derived grids: canonical, cropped, padded."""

from __future__ import annotations

import numpy as np

from training.images.grid import Grid, transform_points

#: Relative difference of voxel sizes up to which the grid is not resampled.
_SAME_SPACING = 0.01


def canonical_grid(grid: Grid, spacing_mm: float = 1.0) -> Grid:
    """Return the grid over the same field of view whose axes are nearest to RAS.

    Voxels are isotropic with ``spacing_mm``; if those of ``grid`` are within 1 % of that, they are the same voxels in
    another order.
    """
    import nibabel

    orientation = nibabel.orientations.io_orientation(grid.affine)
    turned = grid.affine @ nibabel.orientations.inv_ornt_aff(orientation, grid.shape)
    order = np.argsort(orientation[:, 0])
    shape = np.asarray(grid.shape)[order]
    spacing = np.linalg.norm(turned[:3, :3], axis=0)
    if np.all(np.abs(spacing - spacing_mm) <= _SAME_SPACING * spacing_mm):
        return Grid((int(shape[0]), int(shape[1]), int(shape[2])), turned)
    finer = np.maximum(np.ceil(shape * spacing / spacing_mm - 1e-6), 1)
    scaling = np.eye(4)
    scaling[:3, :3] = np.diag(spacing_mm / spacing)
    scaling[:3, 3] = (shape - 1) / 2 - (finer - 1) / 2 * spacing_mm / spacing  # the same center
    return Grid((int(finer[0]), int(finer[1]), int(finer[2])), turned @ scaling)


def cropped(grid: Grid, box: tuple[slice, ...]) -> Grid:
    """Return the grid of the voxels in a box."""
    return shifted(grid, [part.start for part in box], [part.stop - part.start for part in box])


def padded(grid: Grid, stride: int) -> Grid:
    """Return the grid padded on both sides until its sides are multiples of ``stride``."""
    shape = [-(-side // stride) * stride for side in grid.shape]
    return shifted(grid, [-((new - old) // 2) for new, old in zip(shape, grid.shape, strict=True)], shape)


def centered(outer: tuple[int, ...], inner: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the slices of an array of shape ``inner`` centered in one of shape ``outer``."""
    starts = [(large - small) // 2 for large, small in zip(outer, inner, strict=True)]
    return tuple(slice(start, start + small) for start, small in zip(starts, inner, strict=True))


def shifted(grid: Grid, start: list[int], shape: list[int]) -> Grid:
    """Return the grid of ``shape`` whose first voxel is voxel ``start`` of ``grid``."""
    affine = grid.affine.copy()
    affine[:3, 3] = transform_points(grid.affine, np.asarray(start, float))
    return Grid((shape[0], shape[1], shape[2]), affine)
