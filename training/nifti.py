"""NIfTI files, read through nibabel."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from training.errors import InputError
from training.volumes import Grid, checked_grid

#: Headers and their extensions are some kilobytes.
_LARGEST_OFFSET = 2**30


def read_header(path: Path) -> tuple[Grid, int]:
    """Return the grid and the number of volumes.

    Raises:
        InputError: If the file is no NIfTI file, or does not say where its voxels lie.
    """
    image = _open(path)
    shape = _sides(image, path)
    return checked_grid(shape[:3], _affine(image, path), path, shape[3]), shape[3]


def load(path: Path) -> tuple[np.ndarray, Grid]:
    """Return ``(x, y, z, channel)`` and the grid; the stored integers where the file scales nothing.

    Raises:
        InputError: As :func:`read_header`, and if the data is cut off or damaged.
    """
    image = _open(path)
    shape = _sides(image, path)
    grid = checked_grid(shape[:3], _affine(image, path), path, shape[3])
    if image.get_data_dtype().kind not in "iuf":
        raise InputError(f"{path} holds {image.get_data_dtype()} voxels (colors or complex numbers), not intensities.")
    data = _stored(image, shape, path)
    slope, inter = image.dataobj.slope, image.dataobj.inter
    if slope != 1 or inter != 0:
        # In float32: float64, nibabel's default, would quadruple the memory of an int16 scan.
        data = data.astype(np.float32) * np.float32(slope) + np.float32(inter)
    return data, grid


def _stored(image: Any, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """Read the voxels as stored, and to the end of the file, so that gzip's checksum is verified as well."""
    dtype, offset = image.get_data_dtype(), int(image.dataobj.offset)
    count = int(np.prod(shape, dtype=np.int64))
    if not 0 <= offset <= _LARGEST_OFFSET:
        raise InputError(f"{path} is damaged: its header says that the voxels begin at byte {offset:,}.")
    needed = offset + count * dtype.itemsize
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as handle:
            content = handle.read(needed + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is cut off or damaged: {_reason(error)}") from error
    if len(content) < needed:
        raise InputError(f"{path} is cut off or damaged: {needed:,} bytes are needed, {len(content):,} are there.")
    return np.frombuffer(content, dtype, count, offset).reshape(shape, order="F")


def _open(path: Path) -> Any:
    import nibabel

    try:
        image = nibabel.load(path, mmap=False)
    except (
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
        OSError,
        EOFError,
        ValueError,
        zlib.error,
    ) as error:
        raise InputError(f"{path} is not a NIfTI file: {_reason(error)}") from error
    if not isinstance(image, (nibabel.Nifti1Image, nibabel.Nifti2Image)):
        raise InputError(f"{path} is not a NIfTI file but {type(image).__name__}.")
    return image


def _affine(image: Any, path: Path) -> np.ndarray:
    header = image.header
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise InputError(
            f"{path} does not say where its voxels lie: sform_code and qform_code are both 0. Save it again with a "
            "position, for instance from the program that made it or with 'fslorient -copyqform2sform'."
        )
    return image.affine


def _sides(image: Any, path: Path) -> tuple[int, int, int, int]:
    """Return x, y, z and the number of volumes; NIfTI puts those at axis 3 (time) or 4 (vector)."""
    shape = tuple(int(side) for side in image.shape)
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
