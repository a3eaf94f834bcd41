"""NIfTI files and ``.hdr/.img`` pairs: nibabel parses the header; the voxels are read directly, with a size limit.

Whether a file is compressed is decided by its first bytes, not by its name.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from training.errors import InputError
from training.images.compression import DAMAGED, gzip_reader
from training.images.grid import Grid, checked_grid
from training.images.position import nifti_affine, nifti_position
from training.spans import span

#: Headers with their extensions take some kilobytes.
_LARGEST_OFFSET = 2**24
_HEADER_ENDINGS, _VOXEL_ENDINGS = (".hdr", ".hdr.gz"), (".img", ".img.gz")
_SINGLE_OFFSET = 352  # of the voxels in a NIfTI-1 file without extensions


def read_header(path: Path) -> tuple[Grid, int]:
    """Return the grid and the number of volumes.

    Raises:
        InputError: If the file is not a NIfTI file, or has no position, or the other file of its pair is missing.
    """
    header, _ = _open(path)
    shape = _dimensions(header, path)
    return _grid(header, shape, path), shape[3]


def load(path: Path) -> tuple[np.ndarray, Grid]:
    """Return ``(x, y, z, channel)`` and the grid; stored integers if the file has no scaling.

    Raises:
        InputError: As :func:`read_header`, and if the data is truncated or damaged.
    """
    header, voxels = _open(path)
    shape = _dimensions(header, path)
    grid = _grid(header, shape, path)
    if header.get_data_dtype().kind not in "iuf":
        raise InputError(f"{path} holds {header.get_data_dtype()} voxels (colors or complex numbers), not intensities.")
    data = _stored(header, shape, voxels)
    slope, inter = header.get_slope_inter()
    if slope not in (None, 1) or inter not in (None, 0):
        # In float32: float64, nibabel's default, would quadruple the memory of an int16 scan.
        data = data.astype(np.float32) * np.float32(slope) + np.float32(inter)
    return data, grid


#: Labelmaps are stored like images.
load_labels = load


def files(path: Path) -> list[Path]:
    """Return the file, or the header and the voxels of a pair, whichever of both is given."""
    other = _partner(path)
    if other is None:
        return [path]
    return [path, other] if _ending(path) in _HEADER_ENDINGS else [other, path]


def header_beside(path: Path) -> Path | None:
    """Return the header beside the voxels of a pair (``t1.hdr`` for ``t1.img``); ``None`` for any other file."""
    return _partner(path) if _ending(path) in _VOXEL_ENDINGS else None


def write_joined(path: Path, target: Path) -> None:
    """Write a NIfTI-1 pair as one ``.nii`` file, uncompressed.

    Raises:
        InputError: As :func:`load`; and for a NIfTI-2 pair.
    """
    header, voxels = _open(path)
    if header.sizeof_hdr != 348 or voxels == path:
        raise InputError(f"{path} is not a NIfTI-1 pair. Save it as one .nii.gz file.")
    shape = _dimensions(header, path)
    _grid(header, shape, path)
    data = _stored(header, shape, voxels)
    header["magic"], header["vox_offset"] = b"n+1", _SINGLE_OFFSET
    with open(target, "wb") as handle:
        handle.write(bytes(header.binaryblock) + bytes(4))
        handle.write(data.tobytes(order="F"))


def label_statement(path: Path) -> str:
    """Return the description in the header, in which an exported labelmap says what its values mean.

    Raises:
        InputError: If the file is not a NIfTI file.
    """
    return bytes(_open(path)[0]["descrip"]).partition(b"\0")[0].decode("latin-1")


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


def _first_bytes(path: Path, most: int, unpacked: Callable[[Path], Any] = gzip_reader) -> bytes:
    """Return the first bytes of a file, decompressed by ``unpacked``."""
    try:
        with open(path, "rb") as handle:
            packed = handle.read(2) == b"\x1f\x8b"
        if path.suffix.lower() == ".img":
            packed = False  # these are voxels, which may begin with any two bytes
        with span("decompress" if packed else "read"), unpacked(path) if packed else open(path, "rb") as handle:
            return bytes(handle.read(most))
    except DAMAGED as error:
        raise InputError(f"{path} is cut off or damaged: {_reason(error)}") from error


def _open(path: Path) -> tuple[Any, Path]:
    """Return nibabel's header of a file, and the file of the voxels.

    The header is parsed from the first bytes alone. Extensions after it are ignored: each states its own size, so that
    nibabel would read as much as a malicious file asks for.
    """
    import nibabel

    kinds = (
        (nibabel.Nifti1Header, b"n+1", 344),  # and the position of the magic
        (nibabel.nifti1.Nifti1PairHeader, b"ni1", 344),
        (nibabel.Nifti2Header, b"n+2", 4),
        (nibabel.nifti2.Nifti2PairHeader, b"ni2", 4),
    )
    place = path
    if _ending(path) in _VOXEL_ENDINGS:
        place = _partner_or_error(path, "its header")
    try:
        start = _first_bytes(place, 540, gzip.open)  # ISA-L gives nothing of a small file that is cut off
    except InputError as error:
        raise InputError(f"{path} is not a NIfTI file: {error.message.removeprefix(f'{path} is ')}") from error
    fitting = [
        (kind, magic) for kind, magic, at in kinds if start[at : at + 3] == magic and len(start) >= kind.sizeof_hdr
    ]
    if not fitting:
        raise _not_nifti(path, start)
    kind, magic = fitting[0]
    try:
        header = kind(start[: kind.sizeof_hdr])
        header.get_data_dtype(), header.get_slope_inter(), header.get_data_shape(), int(header.get_data_offset())
    except (nibabel.spatialimages.HeaderDataError, KeyError, ValueError, OverflowError) as error:
        raise InputError(f"{path} is not a NIfTI file: {_reason(error)}") from error
    if magic.startswith(b"n+"):
        return header, place
    if place == path and _ending(path) is None:
        raise InputError(
            f"{path} is only the header of a pair. Name it .hdr, and its voxels .img, or save it as one file."
        )
    return header, path if place != path else _partner_or_error(path, "its voxels")


def _not_nifti(path: Path, start: bytes) -> InputError:
    analyze = start[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c") and len(start) >= 348  # the size of the header, 348
    if analyze and _ending(path) is not None:
        return InputError(
            f"{path} is an ANALYZE 7.5 file, which does not say where its voxels lie or which side is left. Convert "
            "the original images to NIfTI, for instance with dcm2niix."
        )
    return InputError(f"{path} is not a NIfTI file: its first bytes are not those of one.")


def _ending(path: Path) -> str | None:
    """Return the ending of a file of a pair, ``None`` for any other file."""
    name = path.name.lower()
    return next((ending for ending in (*_HEADER_ENDINGS, *_VOXEL_ENDINGS) if name.endswith(ending)), None)


def _partner(path: Path) -> Path | None:
    """Return the other file of a pair, if it exists."""
    ending = _ending(path)
    if ending is None:
        return None
    stem = path.name[: -len(ending)]
    wanted = _VOXEL_ENDINGS if ending in _HEADER_ENDINGS else _HEADER_ENDINGS
    candidates = [path.with_name(stem + other) for other in (*wanted, *(other.upper() for other in wanted))]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _partner_or_error(path: Path, what: str) -> Path:
    other = _partner(path)
    if other is None:
        ending = _ending(path) or ""
        name = path.name[: -len(ending)] + (".img" if ending in _HEADER_ENDINGS else ".hdr")
        raise InputError(
            f"{path} is half of a pair: {what}, {name}, is missing. Put it beside it, or save one .nii.gz."
        )
    return other


def _grid(header: Any, shape: tuple[int, int, int, int], path: Path) -> Grid:
    import nibabel

    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        raise InputError(
            f"{path} does not say where its voxels lie: sform_code and qform_code are both 0. Save it again with a "
            "position, for instance from the program that made it or with 'fslorient -copyqform2sform'."
        )
    try:
        with np.errstate(all="ignore"):
            affine = nifti_affine(header.get_best_affine(), header)
    except (nibabel.spatialimages.HeaderDataError, ValueError, np.linalg.LinAlgError) as error:
        raise InputError(f"{path}: the affine cannot be used: {_reason(error)}") from error
    return checked_grid(shape[:3], affine, path, shape[3], nifti_position(header, affine))


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
