"""Volumes and their voxel grids.

Affines map voxel indices to RAS millimeters, whatever the convention of the file (NRRD and ITK files use LPS).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from training.errors import InputError

#: Maximum number of voxels in a file (1 GiB as float32); checked against the header before the voxels are read.
MAX_VOXELS = 2**28


@dataclass(frozen=True)
class Grid:
    """The shape and position of a volume.

    Attributes:
        shape: Number of voxels along x, y, z.
        affine: 4x4 float64, voxel index (of voxel centers) to RAS millimeters.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along x, y, z in millimeters."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @cached_property
    def axcodes(self) -> str:
        """Anatomical direction of each axis, for instance ``"LPS"``; the nearest one for oblique grids."""
        import nibabel

        return "".join(nibabel.orientations.aff2axcodes(self.affine))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in milliliters."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def corners(self) -> np.ndarray:
        """Return the RAS positions of the centers of the eight corner voxels, ``(8, 3)``."""
        last = np.asarray(self.shape) - 1
        indices = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * last
        return transform_points(self.affine, indices)

    def matches(self, other: Grid, tolerance_mm: float = 1e-2) -> bool:
        """Return whether both grids have the same shape and corners at most ``tolerance_mm`` apart."""
        if tuple(self.shape) != tuple(other.shape):
            return False
        return float(np.abs(self.corners() - other.corners()).max()) <= tolerance_mm

    def difference(self, other: Grid) -> str:
        """Describe with numbers how ``other`` differs from this grid; empty if it does not."""
        if tuple(self.shape) != tuple(other.shape):
            return f"the shapes differ: {_dimensions(self.shape)} against {_dimensions(other.shape)} voxels"
        if self.axcodes != other.axcodes:
            return f"the axes differ: {self.axcodes} against {other.axcodes}"
        if not np.allclose(self.spacing, other.spacing, atol=1e-3):
            return f"the voxel sizes differ: {_millimeters(self.spacing)} against {_millimeters(other.spacing)}"
        if self.matches(other):
            return ""
        distance = float(np.linalg.norm(self.corners() - other.corners(), axis=1).max())
        return f"the positions differ: corner voxels lie up to {distance:.2f} mm apart"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return tuple(self.shape) == tuple(other.shape) and bool(np.array_equal(self.affine, other.affine))

    def __hash__(self) -> int:
        return hash((tuple(self.shape), np.asarray(self.affine).tobytes()))


@dataclass(frozen=True, eq=False)
class Volume:
    """An array and its grid.

    Attributes:
        data: ``(x, y, z)``.
        grid: Of the same shape.
    """

    data: np.ndarray
    grid: Grid

    def __post_init__(self) -> None:
        if tuple(self.data.shape) != tuple(self.grid.shape):
            raise ValueError(f"data {self.data.shape} and grid {self.grid.shape} differ in shape")


def transform_points(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a 4x4 affine to points ``(..., 3)``."""
    return np.asarray(points, np.float64) @ affine[:3, :3].T + affine[:3, 3]


def checked_grid(shape: tuple[int, ...], affine: np.ndarray, path: Path, volumes: int = 1) -> Grid:
    """Build a grid from the header of a file, or reject it.

    Args:
        shape: Number of voxels along the axes.
        affine: Voxel to RAS.
        path: Path of the file, for errors.
        volumes: Number of volumes in the file.

    Raises:
        InputError: If the affine is not finite or is singular, or there are too many voxels.
    """
    affine = np.asarray(affine, np.float64)
    if not np.all(np.isfinite(affine)):
        raise InputError(
            f"{path}: the affine holds values that are not numbers, so the position of its voxels is unknown."
        )
    if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(f"{path}: the affine is singular (an axis has no length or two are parallel).")
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"{path} is not a 3D volume: its shape is {_dimensions(shape)}.")
    if volumes < 1:
        raise InputError(f"{path} holds no volume.")
    if math.prod(shape) * volumes > MAX_VOXELS:
        what = f"{_dimensions(shape)} voxels" + (f" in {volumes} volumes" if volumes > 1 else "")
        raise InputError(f"{path} is too large: {what}; the maximum is {MAX_VOXELS:,} voxels.")
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _dimensions(shape: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in shape)


def _millimeters(spacing: tuple[float, float, float]) -> str:
    return " x ".join(f"{side:.3g}" for side in spacing) + " mm"
