"""Header and voxels of a NRRD file, read with bounded memory.

pynrrd reads a header to the end of the file if no blank line ends it, skips as many lines as the header says, and
decompresses everything before it checks the size. Here the header is read from the first bytes only, and compressed
voxels are decompressed up to the size given by the header.
"""

from __future__ import annotations

import bz2
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from training.errors import InputError
from training.images.compression import DAMAGED, gzip_reader
from training.images.detached import points_elsewhere
from training.spans import span

#: Maximum size of a header; those of segmentations with many segments have tens of kilobytes.
_HEADER_BYTES = 2**20
#: Maximum number of bytes or lines to skip before the voxels.
_MOST_SKIPPED = 2**16
#: Maximum number of characters per voxel in text encoding.
_TEXT_BYTES = 64
#: The fields that are read.
_READ_FIELDS = {
    "sizes",
    "type",
    "dimension",
    "encoding",
    "endian",
    "space",
    "space origin",
    "space directions",
    "kinds",
}
_READ_FIELDS |= {
    "space dimension",
    "space units",
    "units",
    "data file",
    "datafile",
    "line skip",
    "lineskip",
    "byte skip",
}
_READ_FIELDS |= {"byteskip"}
_GZIP = ("gzip", "gz")
_BZIP2 = ("bzip2", "bz2")
_ENCODINGS = ("raw", "txt", "text", "ascii", *_GZIP, *_BZIP2)
#: Errors of pynrrd for an invalid header.
_NO_HEADER = (OSError, ValueError, LookupError, StopIteration, TypeError, AttributeError, ArithmeticError)


def parse_header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the fields of a header, and its size in bytes.

    Raises:
        InputError: If the file is not a NRRD file.
    """
    import nrrd

    with open(path, "rb") as handle:
        start = handle.read(_HEADER_BYTES)
    lines, begin = _header_lines(start)
    try:
        with np.errstate(all="ignore"):
            header = dict(nrrd.read_header(lines))
    except (nrrd.NRRDError, *_NO_HEADER) as error:
        raise InputError(f"{path} is not a NRRD file: {error or type(error).__name__}") from error
    if begin >= _HEADER_BYTES:
        raise InputError(f"{path} is not a NRRD file: no blank line ends its header.")
    for field in ("sizes", "type", "dimension", "encoding"):
        if field not in header:
            raise InputError(f"{path} is not a NRRD file: the field '{field}' is missing.")
    detached = _detached(header)
    if detached is not None and (path.suffix.lower() != ".nhdr" or points_elsewhere(detached)):
        raise InputError(f"{path} points to another file for its voxels ({detached}). Save it as one file.")
    if header["encoding"] not in _ENCODINGS:
        raise InputError(f"{path} has the encoding {str(header['encoding'])[:40]!r}; save it with raw or gzip.")
    return header, begin


def files(path: Path) -> list[Path]:
    """Return the file, and that of its voxels if it is another one.

    Raises:
        InputError: As :func:`parse_header`.
    """
    detached = _detached(parse_header(path)[0]) if path.suffix.lower() == ".nhdr" else None
    return [path] if detached is None else [path, path.parent / detached]


def _header_lines(start: bytes) -> tuple[list[str], int]:
    """Return the lines of a header without the blank one that ends it, and the size of the header in bytes.

    pynrrd drops whatever is not ASCII, which makes meters of micrometers written with a Greek letter, and takes a key
    (``key:=value``, as ITK writes an image's metadata) for a field of the same name.
    """
    lines: list[str] = []
    begin = 0
    for line in io.BytesIO(start):
        begin += len(line)
        try:
            text = line.decode("utf-8").rstrip()
        except UnicodeDecodeError:
            text = line.decode("latin-1").rstrip()
        if not text:
            break
        key, is_key, _ = text.partition(":=")
        if not (is_key and key.strip().lower() in _READ_FIELDS):
            lines.append(text)
        if text.startswith("data file: LIST"):
            break  # the names of the files follow
    return lines, begin


def read_voxels(path: Path, header: Mapping[str, Any], begin: int) -> np.ndarray:
    """Return the voxels in the order of the sizes in the header, in the stored dtype.

    Args:
        path: The file; the voxels may be in another one beside it.
        header: From :func:`parse_header`, with valid sizes.
        begin: Size of the header in bytes.

    Raises:
        InputError: If the data is truncated, damaged, or more than the header says.
    """
    import nrrd

    lines, skipped = _skip(header, "line", path), _skip(header, "byte", path)
    detached = _detached(header)
    place = path if detached is None else path.parent / detached
    if not place.is_file():
        raise InputError(f"{path} is not complete: the file of its voxels, {detached}, is missing.")
    plain = {name: value for name, value in header.items() if name.replace(" ", "") not in ("lineskip", "datafile")}
    try:
        with open(place, "rb") as handle:
            handle.seek(begin if detached is None else 0)
            for _ in range(lines):
                handle.readline()
            if header["encoding"] in (*_GZIP, *_BZIP2):
                content = _decompressed(handle, header, skipped, path)
                plain = {**plain, "encoding": "raw", "byte skip": 0, "byteskip": 0}
                return np.asarray(nrrd.read_data(plain, io.BytesIO(content)))
            if header["encoding"] != "raw" and place.stat().st_size > _most_text(header):
                raise InputError(f"{path} is damaged: it is longer than the text of its voxels.")
            return np.asarray(nrrd.read_data(plain, handle))
    except (nrrd.NRRDError, *DAMAGED, *_NO_HEADER) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is cut off or damaged: {error or type(error).__name__}") from error


def _decompressed(handle: IO[bytes], header: Mapping[str, Any], skipped: int, path: Path) -> bytes:
    """Return the bytes of the voxels of a compressed file, without the skipped ones."""
    from nrrd.reader import _determine_datatype

    needed = math.prod(int(size) for size in header["sizes"]) * _determine_datatype(dict(header)).itemsize
    before = _MOST_SKIPPED if skipped == -1 else skipped
    unpacked: Any = gzip_reader(handle) if header["encoding"] in _GZIP else bz2.BZ2File(handle)
    with span("decompress"):
        content: bytes = unpacked.read(before + needed + 1)
    content = content[-needed:] if skipped == -1 else content[skipped:]
    if len(content) != needed:
        there = f"{len(content):,}" if len(content) < needed else "more"
        raise InputError(f"{path} is cut off or damaged: {needed:,} bytes are needed, {there} are there.")
    return content


def _skip(header: Mapping[str, Any], what: str, path: Path) -> int:
    value = int(header.get(f"{what} skip", header.get(f"{what}skip", 0)))
    if not (-1 if what == "byte" else 0) <= value <= _MOST_SKIPPED:
        raise InputError(f"{path} is damaged: its header asks to skip {value:,} {what}s.")
    return value


def _most_text(header: Mapping[str, Any]) -> int:
    return math.prod(int(size) for size in header["sizes"]) * _TEXT_BYTES + _HEADER_BYTES


def _detached(header: Mapping[str, Any]) -> str | None:
    name = header.get("data file", header.get("datafile"))
    return None if name is None else str(name)
