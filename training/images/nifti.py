"""NIfTI files: nibabel parses the header; the voxels are read directly, with a size limit."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from training.errors import InputError
from training.images.grid import Grid, checked_grid

#: Headers with their extensions take some kilobytes.
_LARGEST_OFFSET = 2**24


def read_header(path: Path) -> tuple[Grid, int]:
    """Return the grid and the number of volumes.

    Raises:
        InputError: If the file is not a NIfTI file, or has no position.
    """
    header = _open(path)
    shape = _dimensions(header, path)
    return checked_grid(shape[:3], _affine(header, path), path, shape[3]), shape[3]


def load(path: Path) -> tuple[np.ndarray, Grid]:
    """Return ``(x, y, z, channel)`` and the grid; stored integers if the file has no scaling.

    Raises:
        InputError: As :func:`read_header`, and if the data is truncated or damaged.
    """
    header = _open(path)
    shape = _dimensions(header, path)
    grid = checked_grid(shape[:3], _affine(header, path), path, shape[3])
    if header.get_data_dtype().kind not in "iuf":
        raise InputError(f"{path} holds {header.get_data_dtype()} voxels (colors or complex numbers), not intensities.")
    data = _stored(header, shape, path)
    slope, inter = header.get_slope_inter()
    if slope not in (None, 1) or inter not in (None, 0):
        # In float32: float64, nibabel's default, would quadruple the memory of an int16 scan.
        data = data.astype(np.float32) * np.float32(slope) + np.float32(inter)
    return data, grid


#: Labelmaps are stored like images.
load_labels = load


def _stored(header: Any, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """Read the stored voxels up to the end of the file, so that the gzip checksum is verified as well.

    At most one byte beyond the voxels is decompressed: a small file may expand to gigabytes.
    """
    dtype, offset = header.get_data_dtype(), int(header.get_data_offset())
    count = math.prod(shape)
    if not 0 <= offset <= _LARGEST_OFFSET:
        raise InputError(f"{path} is damaged: its header says that the voxels begin at byte {offset:,}.")
    needed = offset + count * dtype.itemsize
    content = _first_bytes(path, needed + 1)
    if len(content) < needed:
        raise InputError(f"{path} is cut off or damaged: {needed:,} bytes are needed, {len(content):,} are there.")
    return np.frombuffer(content, dtype, count, offset).reshape(shape, order="F")


def _first_bytes(path: Path, most: int) -> bytes:
    """Return the first bytes of a file, decompressed."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as handle:
            return handle.read(most)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is cut off or damaged: {_reason(error)}") from error


def _open(path: Path) -> Any:
    """Return nibabel's header of a file, parsed from its first bytes alone.

    Extensions after the header are ignored: each states its own size, so that nibabel would read as much as a malicious
    file asks for.
    """
    import nibabel

    classes = ((nibabel.Nifti1Header, b"n+1", 344), (nibabel.Nifti2Header, b"n+2", 4))  # and the position of the magic
    try:
        start = _first_bytes(path, 540)
    except InputError as error:
        raise InputError(f"{path} is not a NIfTI file: {error.message.removeprefix(f'{path} is ')}") from error
    fitting = [kind for kind, magic, at in classes if start[at : at + 3] == magic and len(start) >= kind.sizeof_hdr]
    if not fitting:
        raise InputError(f"{path} is not a NIfTI file: its first bytes are not those of one.")
    try:
        header = fitting[0](start[: fitting[0].sizeof_hdr])
        header.get_data_dtype(), header.get_slope_inter(), header.get_data_shape(), int(header.get_data_offset())
    except (nibabel.spatialimages.HeaderDataError, KeyError, ValueError, OverflowError) as error:
        raise InputError(f"{path} is not a NIfTI file: {_reason(error)}") from error
    return header


def _affine(header: Any, path: Path) -> np.ndarray:
    import nibabel

    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise InputError(
            f"{path} does not say where its voxels lie: sform_code and qform_code are both 0. Save it again with a "
            "position, for instance from the program that made it or with 'fslorient -copyqform2sform'."
        )
    try:
        with np.errstate(all="ignore"):
            return np.asarray(header.get_best_affine())
    except (nibabel.spatialimages.HeaderDataError, ValueError, np.linalg.LinAlgError) as error:
        raise InputError(f"{path}: the affine cannot be used: {_reason(error)}") from error


def _dimensions(header: Any, path: Path) -> tuple[int, int, int, int]:
    """Return x, y, z and the number of volumes, which NIfTI stores as axis 3 (time) or 4 (vector)."""
    shape = tuple(int(side) for side in header.get_data_shape())
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 5 and shape[3] == 1:
        shape = (*shape[:3], shape[4])
    if len(shape) not in (3, 4):
        raise InputError(f"{path} has {len(shape)} dimensions {shape}; a volume has 3, a file of several volumes 4.")
    return shape[0], shape[1], shape[2], shape[3] if len(shape) == 4 else 1


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if text.endswith(".") else f"{text or type(error).__name__}."
