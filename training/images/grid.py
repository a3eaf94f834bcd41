"""Volumes and their voxel grids.

Affines map voxel indices to RAS millimeters, whatever the convention of the file (NRRD and ITK files use LPS).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from training.errors import InputError
from training.images.position import FilePosition, unit_scale

#: Maximum number of voxels in a file (1 GiB as float32); checked against the header before the voxels are read.
MAX_VOXELS = 2**28
#: From left-posterior-superior (ITK, DICOM) to right-anterior-superior, and back.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Grid:
    """The shape and position of a volume.

    Attributes:
        shape: Number of voxels along x, y, z.
        affine: 4x4 float64, voxel index (of voxel centers) to RAS millimeters.
        position: What the file says about the position, if it was read from one; equal grids may differ in it. A file
            written on this grid says the same.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray
    position: FilePosition | None = field(default=None, compare=False, repr=False)

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

    @property
    def itk_affine(self) -> np.ndarray:
        """Where ITK, and so 3D Slicer, shows the file: 4x4, voxel index to RAS. Usually equal to :attr:`affine`."""
        return self.affine if self.position is None else self.position.itk_affine

    def corners(self, affine: np.ndarray | None = None) -> np.ndarray:
        """Return the RAS positions of the centers of the eight corner voxels, ``(8, 3)``.

        Args:
            affine: Another affine than that of the grid.
        """
        last = np.asarray(self.shape) - 1
        indices = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * last
        return transform_points(self.affine if affine is None else affine, indices)

    def matches(self, other: Grid, tolerance_mm: float = 1e-2) -> bool:
        """Return whether both grids have the same shape and corners at most ``tolerance_mm`` apart.

        Of a file with several affines each one counts: programs differ in the one with which they save a label.
        """
        if tuple(self.shape) != tuple(other.shape):
            return False
        own, others = ([grid.corners(affine) for affine in grid._affines()] for grid in (self, other))
        return any(float(np.abs(mine - its).max()) <= tolerance_mm for mine in own for its in others)

    def _affines(self) -> list[np.ndarray]:
        if self.position is None:
            return [self.affine]
        return [self.affine, self.position.itk_affine, *self.position.affines]

    def difference(self, other: Grid) -> str:
        """Describe with numbers how ``other`` differs from this grid; empty if it does not."""
        if tuple(self.shape) != tuple(other.shape):
            return f"the shapes differ: {_dimensions(self.shape)} against {_dimensions(other.shape)} voxels"
        if self.matches(other):
            return ""
        if self.axcodes != other.axcodes:
            return f"the axes differ: {self.axcodes} against {other.axcodes}"
        if not np.allclose(self.spacing, other.spacing, atol=1e-3):
            return f"the voxel sizes differ: {_millimeters(self.spacing)} against {_millimeters(other.spacing)}"
        distance = float(np.linalg.norm(self.corners() - other.corners(), axis=1).max())
        return f"the positions differ: corner voxels lie up to {distance:.2f} mm apart"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return tuple(self.shape) == tuple(other.shape) and bool(np.array_equal(self.affine, other.affine))

    def __hash__(self) -> int:
        return hash((tuple(self.shape), np.asarray(self.affine).tobytes()))


def matching_name(grid: Grid, candidates: Mapping[str, Grid]) -> str | None:
    """Return the name of the first grid that matches, ``None`` if none does.

    One with the same affine precedes one of which another affine of its file matches.
    """
    plain = {name: Grid(candidate.shape, candidate.affine) for name, candidate in candidates.items()}
    for named in (plain, candidates):
        for name, candidate in named.items():
            if candidate.matches(grid):
                return name
    return None


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


def checked_grid(
    shape: tuple[int, ...], affine: np.ndarray, path: Path, volumes: int = 1, position: FilePosition | None = None
) -> Grid:
    """Build a grid from the header of a file, or reject it.

    Args:
        shape: Number of voxels along the axes.
        affine: Voxel to RAS millimeters.
        path: Path of the file, for errors.
        volumes: Number of volumes in the file.
        position: What the file says about the position, where that is more than ``affine``.

    Raises:
        InputError: If the affine is not finite or is singular, or there are too many voxels.
    """
    affine = np.asarray(affine, np.float64)
    if not np.all(np.isfinite(affine)):
        raise InputError(
            f"{path}: the affine holds values that are not numbers, so the position of its voxels is unknown."
        )
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if lengths.min() < 1e-12 or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-6:
        raise InputError(f"{path}: the affine is singular (an axis has no length or two are parallel).")
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"{path} is not a 3D volume: its shape is {_dimensions(shape)}.")
    if volumes < 1:
        raise InputError(f"{path} holds no volume.")
    if math.prod(shape) * volumes > MAX_VOXELS:
        what = f"{_dimensions(shape)} voxels" + (f" in {volumes} volumes" if volumes > 1 else "")
        raise InputError(f"{path} is too large: {what}; the maximum is {MAX_VOXELS:,} voxels.")
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, position)


def grid_in_unit(shape: tuple[int, ...], affine: np.ndarray, unit: str, path: Path, volumes: int = 1) -> Grid:
    """Build a grid from a header whose numbers are in a unit that ITK ignores (NRRD, MetaImage), or reject it.

    Args:
        shape: As for :func:`checked_grid`.
        affine: Voxel to RAS, in the unit.
        unit: One of :data:`training.images.position.UNITS`; empty for millimeters.
        path: As for :func:`checked_grid`.
        volumes: As for :func:`checked_grid`.

    Raises:
        InputError: As :func:`checked_grid`.
    """
    if unit_scale(unit) == 1.0:
        return checked_grid(shape, affine, path, volumes)
    scaled = affine.copy()
    scaled[:3] *= unit_scale(unit)
    return checked_grid(shape, scaled, path, volumes, FilePosition(affine, (affine,), unit))


def _dimensions(shape: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in shape)


def _millimeters(spacing: tuple[float, float, float]) -> str:
    return " x ".join(f"{side:.3g}" for side in spacing) + " mm"
