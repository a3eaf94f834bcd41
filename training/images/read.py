"""Reading any supported file into an array and its grid: NIfTI, NRRD and MetaImage.

Arrays are ``(x, y, z)`` in the file's own voxel order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from training.errors import InputError
from training.images import metaimage, nifti, nrrd
from training.images.grid import Grid, Volume

_INT32 = np.iinfo(np.int32)


class Reader(Protocol):
    """What a file format offers. Arrays are ``(x, y, z, channel)`` in the stored (or scaled) dtype."""

    def read_header(self, path: Path) -> tuple[Grid, int]:
        """Return the grid and the number of volumes."""

    def load(self, path: Path) -> tuple[np.ndarray, Grid]:
        """Return the voxels and the grid."""

    def load_labels(self, path: Path) -> tuple[np.ndarray, Grid]:
        """Return the voxels of a labelmap and the grid."""


#: The formats that are read, by file ending.
READERS: dict[str, Reader] = {
    ".nii": nifti,
    ".nii.gz": nifti,
    ".nrrd": nrrd,
    ".nhdr": nrrd,
    ".mha": metaimage,
    ".mhd": metaimage,
}


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
    data, grid = _reader(path).load(path)
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
        data, grid = _reader(path).load_labels(path)
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
    return _reader(path).read_header(path)


def image_ending(path: Path | str) -> str | None:
    """Return the known file ending of a path (``".nii.gz"``), or ``None``."""
    name = Path(path).name.lower()
    matching = [ending for ending in READERS if name.endswith(ending)]
    return max(matching, key=len) if matching else None


def _reader(path: Path) -> Reader:
    if not path.is_file():
        raise InputError(f"{path} does not exist." if not path.exists() else f"{path} is not a file.")
    ending = image_ending(path)
    if ending is None:
        raise InputError(f"{path} has no known file ending; known are {', '.join(READERS)}.")
    return READERS[ending]


def _finite(data: np.ndarray) -> np.ndarray:
    """Replace what is not a number by 0, in place; a sum tells in one pass whether there is any."""
    with np.errstate(all="ignore"):
        if not np.isfinite(data.sum(dtype=np.float64)):
            np.nan_to_num(data, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return data
