"""Volumes and their grids: reading any supported file into an array and an affine.

Arrays are ``(x, y, z)`` in the file's own voxel order. Affines map voxel indices to millimeters in RAS, whatever
the file used (NRRD and ITK files are LPS on disk). Formats: NIfTI, NRRD and MetaImage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from training.errors import InputError

#: Most voxels a file may hold (1 GiB as float32); a header that promises more is refused before reading.
MAX_VOXELS = 2**28

_INT32 = np.iinfo(np.int32)
_NIFTI, _NRRD, _OTHER = (".nii", ".nii.gz"), (".nrrd", ".nhdr"), (".mha", ".mhd")
IMAGE_ENDINGS: tuple[str, ...] = _NIFTI + _NRRD + _OTHER


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a volume lie.

    Attributes:
        shape: Voxels along x, y, z.
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
        """The direction each axis points to, for instance ``"LPS"``; the nearest one for oblique grids."""
        import nibabel

        return "".join(nibabel.orientations.aff2axcodes(self.affine))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in milliliters."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def corners(self) -> np.ndarray:
        """Return the RAS positions of the eight corner voxels' centers, ``(8, 3)``."""
        last = np.asarray(self.shape) - 1
        indices = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * last
        return transform_points(self.affine, indices)

    def matches(self, other: Grid, tolerance_mm: float = 1e-2) -> bool:
        """Tell whether both grids have the same shape and corners no further apart than ``tolerance_mm``."""
        if tuple(self.shape) != tuple(other.shape):
            return False
        return float(np.abs(self.corners() - other.corners()).max()) <= tolerance_mm

    def difference(self, other: Grid) -> str:
        """Say in one sentence, with numbers, how ``other`` differs from this grid; empty if it does not."""
        if tuple(self.shape) != tuple(other.shape):
            return f"the shapes differ: {_times(self.shape)} against {_times(other.shape)} voxels"
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


def read_volume(path: Path | str, channel: int | None = None) -> Volume:
    """Read one image volume.

    Args:
        path: ``.nii``, ``.nii.gz``, ``.nrrd``, ``.nhdr`` ``.mha`` or ``.mhd``.
        channel: Which volume of a 4D file, from 0; ``None`` where a single one is expected.

    Returns:
        float32; voxels that are not finite numbers are 0 (some programs mark the background so).

    Raises:
        InputError: If the file is missing, is not what its name says, is cut off, does not say where its voxels
            lie, holds colors or complex numbers, or has not the channel asked for. Names the file.
    """
    return read_volumes(path, None if channel is None else [channel])[0]


def read_volumes(path: Path | str, channels: list[int] | None = None) -> list[Volume]:
    """Read several volumes of a 4D file at once, or the only one of a 3D file.

    Args:
        path: As for :func:`read_volume`.
        channels: Which ones, from 0; ``None`` asks for the single volume of a 3D file.

    Returns:
        As many volumes as asked for, float32.

    Raises:
        InputError: As :func:`read_volume`.
    """
    path = Path(path)
    data, grid = _load(path)
    if channels is None:
        if data.shape[3] != 1:
            raise InputError(
                f"{path} holds {data.shape[3]} volumes where one is expected. Say which channel, or split the file."
            )
        channels = [0]
    absent = [channel for channel in channels if not 0 <= channel < data.shape[3]]
    if absent:
        raise InputError(f"{path} has the channels 0 to {data.shape[3] - 1}; there is no channel {absent[0]}.")
    return [Volume(_finite(data[..., channel].astype(np.float32)), grid) for channel in channels]


def read_labelmap(path: Path | str) -> Volume:
    """Read a labelmap with the values it has in the file.

    A ``.seg.nrrd`` of 3D Slicer is read as well: layers are merged, and values follow the segments' names where
    all of them are known to :mod:`training.labels`.

    Returns:
        The smallest integer dtype among int16, int32 that holds the values (uint8 where the file has it).

    Raises:
        InputError: As :func:`read_volume`, and if voxels are not whole numbers; ``field`` is ``"label"``.
    """
    path = Path(path)
    try:
        data, grid = _load(path, label=True)
    except InputError as error:
        raise InputError(error.message, field="label") from error
    if data.shape[3] != 1:
        raise InputError(f"{path} holds {data.shape[3]} volumes; a labelmap is one.", field="label")
    values = data[..., 0]
    if values.dtype.kind == "f" and (not np.all(np.isfinite(values)) or np.any(values != np.round(values))):
        raise InputError(
            f"{path} holds values that are not whole numbers. Save it as a labelmap, not as a resampled image.",
            field="label",
        )
    if values.dtype.kind == "f" or values.dtype.itemsize > 2:
        odd = values[(values < _INT32.min) | (values > _INT32.max)]
        if odd.size:  # in fewer bits it would become another value, perhaps a known label
            raise InputError(f"{path} holds the value {odd[0]}.", field="label")
        values = values.astype(np.int32)
    return Volume(values, grid)


def read_grid(path: Path | str) -> Grid:
    """Read only where the voxels lie.

    Raises:
        InputError: As :func:`read_volume`; data that is cut off is not noticed.
    """
    return read_header(path)[0]


def count_channels(path: Path | str) -> int:
    """Return how many volumes a file holds (1 for a 3D file).

    Raises:
        InputError: As :func:`read_grid`.
    """
    return read_header(path)[1]


def read_header(path: Path | str) -> tuple[Grid, int]:
    """Read the grid and the number of volumes without the voxels.

    Raises:
        InputError: As :func:`read_grid`.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == "nifti":
        from training import nifti

        return nifti.read_header(path)
    if kind == "nrrd":
        from training import nrrd_files

        return nrrd_files.read_header(path)
    from training import itk_files

    return itk_files.read_header(path)


def image_ending(path: Path | str) -> str | None:
    """Return the known file ending of a path (``".nii.gz"``), or ``None``."""
    name = Path(path).name.lower()
    matching = [ending for ending in IMAGE_ENDINGS if name.endswith(ending)]
    return max(matching, key=len) if matching else None


def checked_grid(shape: tuple[int, ...], affine: np.ndarray, path: Path, volumes: int = 1) -> Grid:
    """Build a grid from what a file says, refusing what cannot be used.

    Args:
        shape: Voxels along the axes.
        affine: Voxel to RAS.
        path: Named in errors.
        volumes: How many of this shape the file holds.

    Raises:
        InputError: If the affine holds NaN or has no volume, or there are too many voxels.
    """
    affine = np.asarray(affine, np.float64)
    if not np.all(np.isfinite(affine)):
        raise InputError(f"{path}: the affine holds values that are not numbers, so nobody knows where its voxels lie.")
    if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise InputError(f"{path}: the affine is singular (an axis has no length or two are parallel).")
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"{path} is not a 3D volume: its shape is {_times(shape)}.")
    if volumes < 1:
        raise InputError(f"{path} holds no volume.")
    if math.prod(shape) * volumes > MAX_VOXELS:
        what = f"{_times(shape)} voxels" + (f" in {volumes} volumes" if volumes > 1 else "")
        raise InputError(f"{path} is too large: {what}; the most is {MAX_VOXELS:,} voxels.")
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _load(path: Path, label: bool = False) -> tuple[np.ndarray, Grid]:
    """Return ``(x, y, z, channel)`` in the stored (or scaled) dtype, and the grid."""
    kind = _kind(path)
    if kind == "nifti":
        from training import nifti

        return nifti.load(path)
    if kind == "nrrd":
        from training import nrrd_files

        return nrrd_files.load_labels(path) if label else nrrd_files.load(path)
    from training import itk_files

    return itk_files.load(path)


def _kind(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path} does not exist." if not path.exists() else f"{path} is not a file.")
    ending = image_ending(path)
    if ending is None:
        raise InputError(f"{path} has no known file ending; known are {', '.join(IMAGE_ENDINGS)}.")
    return "nifti" if ending in _NIFTI else "nrrd" if ending in _NRRD else "other"


def _finite(data: np.ndarray) -> np.ndarray:
    """Replace what is not a number by 0, in place; a sum tells in one pass whether there is any."""
    with np.errstate(all="ignore"):
        if not np.isfinite(data.sum(dtype=np.float64)):
            np.nan_to_num(data, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return data


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in shape)


def _millimeters(spacing: tuple[float, float, float]) -> str:
    return " x ".join(f"{side:.3g}" for side in spacing) + " mm"
