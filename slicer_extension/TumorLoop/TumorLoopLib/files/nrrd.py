"""NRRD files, the format of volumes and labelmaps between the panel and its server.

They are written and read with numpy and zlib alone, in a worker thread: nothing here uses MRML, and zlib releases the
interpreter's lock. Arrays are ``(k, j, i)`` as in 3D Slicer, with ``i`` fastest, which is the order of the file.
Affines are RAS; files are LPS, as 3D Slicer writes them.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union

import numpy as np

from TumorLoopLib.client.errors import Cancelled, LocalFileError
from TumorLoopLib.files import nrrd_header
from TumorLoopLib.files.nrrd_header import Header
from TumorLoopLib.i18n import _

PathLike = Union[str, "os.PathLike[str]"]

_GZIP = 31  # zlib's code for "with a gzip header"
_PIECE = 1 << 20  # bytes between two checks of the cancel event: a few milliseconds of compression


def write_nrrd(
    path: PathLike,
    array_kji: np.ndarray,
    ijk_to_ras: np.ndarray,
    level: int = 1,
    cancel: threading.Event | None = None,
) -> None:
    """Write a volume as one gzip-compressed file.

    Args:
        path: The file; an existing one is replaced, and a partial one removed if writing fails.
        array_kji: ``(k, j, i)``, integers of up to 64 bits, floats of 32 or 64 bits, or booleans (written as uint8).
        ijk_to_ras: 4x4, voxel index to millimeters.
        level: Of compression, 1 (fast) to 9.
        cancel: Ends the writing if set.

    Raises:
        LocalFileError: If the file cannot be written.
        Cancelled: If ``cancel`` was set.
        ValueError: If the array is not of three dimensions and one of these types, or the affine is not 4x4.
    """
    array = np.asarray(array_kji)
    if array.dtype == bool:
        array = array.view(np.uint8)
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    header = nrrd_header.text_for(array, np.asarray(ijk_to_ras, np.float64))
    try:
        with open(path, "wb") as file:
            file.write(header.encode("ascii"))
            for piece in _compressed(array, level, cancel):
                file.write(piece)
    except OSError as error:
        _remove(path)
        raise LocalFileError(
            _("{path} cannot be written: {reason}. Is the disk full?").format(path=path, reason=error.strerror or error)
        ) from error
    except Cancelled:
        _remove(path)
        raise


def read_nrrd(path: PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Read a three-dimensional NRRD file, raw or gzip-compressed, its voxels in the same file.

    Args:
        path: The file.

    Returns:
        The voxels ``(k, j, i)`` in the file's type and this machine's byte order, writable; and ``ijk_to_ras``, 4x4
        float64.

    Raises:
        LocalFileError: If it cannot be read, is damaged or cut off, or has another format.
    """
    name = Path(path).name
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise LocalFileError(
            _("{name} cannot be read: {reason}.").format(name=name, reason=error.strerror or error)
        ) from error
    header, start = nrrd_header.parse(content, name)
    data = _voxel_bytes(memoryview(content)[start:], header, name)
    array = np.frombuffer(data, header.dtype).reshape(header.sizes[::-1])
    return array.astype(header.dtype.newbyteorder("="), copy=not array.flags.writeable), header.ijk_to_ras


def _compressed(array: np.ndarray, level: int, cancel: threading.Event | None) -> Iterator[bytes]:
    packer = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
    view = array.reshape(-1).view(np.uint8).data
    for start in range(0, len(view), _PIECE):
        if cancel is not None and cancel.is_set():
            raise Cancelled()
        yield packer.compress(view[start : start + _PIECE])
    yield packer.flush()


def _voxel_bytes(stored: memoryview, header: Header, name: str) -> Any:
    """Return the bytes of the voxels; raise unless there are as many as the header says."""
    if header.encoding == "raw":
        found = len(stored)
        data: Any = bytearray(stored) if found == header.byte_count else b""
    else:
        data, found = _unpacked(stored, header, name)
    if found < header.byte_count:
        raise LocalFileError(
            _("{name} is cut off: it holds {found} of {expected} bytes of voxels. Fetch or save it again.").format(
                name=name, found=found, expected=header.byte_count
            )
        )
    if found > header.byte_count:
        raise LocalFileError(
            _("{name} is damaged: it holds more voxels than its header says. Fetch or save it again.").format(name=name)
        )
    return data


def _unpacked(stored: memoryview, header: Header, name: str) -> tuple[bytearray, int]:
    """Decompress up to one byte more than expected, so that a wrong header cannot fill the memory."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        # bytearray, so that the array made of it is writable without one more copy
        data = bytearray(unpacker.decompress(stored, header.byte_count + 1))
    except zlib.error as error:
        raise LocalFileError(
            _("{name} is damaged: its compressed voxels cannot be unpacked. Fetch or save it again.").format(name=name)
        ) from error
    complete = unpacker.eof or len(data) > header.byte_count
    # All voxels but no end of the stream: cut off in its last bytes, before the checksum.
    return data, len(data) if complete else min(len(data), header.byte_count - 1)


def _remove(path: PathLike) -> None:
    try:
        os.remove(path)
    except OSError:
        return
