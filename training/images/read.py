"""Reading images and labelmaps: NIfTI, NRRD and MetaImage, selected by file ending.

Arrays are ``(x, y, z)`` in the voxel order of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from training.errors import InputError
from training.images import metaimage, nifti, nrrd
from training.images.grid import Grid, Volume
from training.images.nifti import header_beside

__all__ = [
    "READERS",
    "Reader",
    "count_channels",
    "header_beside",
    "image_ending",
    "image_files",
    "read_grid",
    "read_header",
    "read_labelmap",
    "read_volume",
    "read_volumes",
]

_INT32 = np.iinfo(np.int32)


class Reader(Protocol):
    """The reader of a file format. Arrays are ``(x, y, z, channel)`` in the stored (or scaled) dtype."""

    def read_header(self, path: Path) -> tuple[Grid, int]:
        """Return the grid and the number of volumes."""

    def load(self, path: Path) -> tuple[np.ndarray, Grid]:
        """Return the voxels and the grid."""

    def load_labels(self, path: Path) -> tuple[np.ndarray, Grid]:
        """Return the voxels of a labelmap and the grid."""

    def files(self, path: Path) -> list[Path]:
        """Return the file and, if its voxels are in another one, that one."""

    def label_statement(self, path: Path) -> str:
        """Return what the header says of the values of a labelmap."""


#: Readers by file ending.
READERS: dict[str, Reader] = {
    ".nii": nifti,
    ".nii.gz": nifti,
    ".hdr": nifti,
    ".hdr.gz": nifti,
    ".img": nifti,
    ".img.gz": nifti,
    ".nrrd": nrrd,
    ".nhdr": nrrd,
    ".mha": metaimage,
    ".mhd": metaimage,
}


def read_volume(path: Path | str, channel: int | None = None) -> Volume:
    """Read one image volume.

    Args:
        path: A file with one of the endings of :data:`READERS`.
        channel: Index of the volume in a 4D file; ``None`` for a 3D file.

    Returns:
        float32; voxels that are not finite (a background mark of some programs) are 0.

    Raises:
        InputError: If the file is missing, is of another format, is truncated, has no position, holds colors or complex
            numbers, or lacks the channel. Names the file.
    """
    return read_volumes(path, None if channel is None else [channel])[0]


def read_volumes(path: Path | str, channels: list[int] | None = None) -> list[Volume]:
    """Read several volumes of a 4D file, or the single one of a 3D file.

    Args:
        path: As for :func:`read_volume`.
        channels: Indices of the volumes; ``None`` for a 3D file.

    Returns:
        The volumes, float32.

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
    return [Volume(_finite(data[..., channel].astype(np.float32), data.dtype), grid) for channel in channels]


def read_labelmap(path: Path | str) -> Volume:
    """Read a labelmap with the values of the file.

    A ``.seg.nrrd`` of 3D Slicer has no values of its own: its segments get those of :mod:`training.labels` by name.

    Returns:
        Integers of at most 16 bits as stored, or int32.

    Raises:
        InputError: As :func:`read_volume`, if voxels are not whole numbers, or a segment is none of the labels;
            ``field`` is ``"label"``.
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
        if odd.size:  # with fewer bits it would become another value, perhaps a known label
            raise InputError(f"{path} holds the value {odd[0]}.", field="label")
        values = values.astype(np.int32)
    return Volume(values, grid)


def label_statement(path: Path | str) -> str:
    """Return what the header of a labelmap says of its values.

    Returns:
        :data:`training.images.nrrd.SEGMENT_NAMES` for a segmentation of 3D Slicer, whose values :func:`read_labelmap`
        replaces; the words of :func:`training.label_schemes.statement` for a labelmap that TumorLoop has written; or
        whatever else another program has put there.

    Raises:
        InputError: As :func:`read_grid`.
    """
    path = Path(path)
    return _reader(path).label_statement(path)


def read_grid(path: Path | str) -> Grid:
    """Read the grid without the voxels.

    Raises:
        InputError: As :func:`read_volume`, but truncated data is not detected.
    """
    return read_header(path)[0]


def count_channels(path: Path | str) -> int:
    """Return the number of volumes in a file (1 for a 3D file).

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


def image_files(path: Path | str) -> list[Path]:
    """Return all files of an image: one; or the header and the voxels of a pair, ``.mhd`` or ``.nhdr``.

    If the header cannot be read, only ``path`` is returned: reading the image says why.
    """
    path = Path(path)
    try:
        return _reader(path).files(path)
    except InputError:
        return [path]


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


def _finite(data: np.ndarray, stored: np.dtype) -> np.ndarray:
    """Replace non-finite values by 0 in place; the sum reveals in one pass whether there are any."""
    if stored.kind in "iu":
        return data
    with np.errstate(all="ignore"):
        if not np.isfinite(data.sum(dtype=np.float64)):
            np.nan_to_num(data, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return data
