"""MetaImage files (``.mha`` of BraTS 2012-2015, ``.mhd``).

Read here and not by ITK: its parser cuts lines off, takes a part of the next line for a line without a value, and
follows lists and patterns of other files, so that it may read something else than was checked; of voxels that cannot be
decompressed it returns memory that it has not written to. The fields have the meaning that they have in ITK.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from training.errors import InputError
from training.images.compression import DAMAGED, zlib_decompressor
from training.images.detached import points_elsewhere
from training.images.grid import LPS_TO_RAS, Grid, grid_in_unit
from training.images.position import unit_named

_HEADER_BYTES = 1 << 20
_SEPARATOR = re.compile("[=:]")
_LAST = "ElementDataFile"
_POSITION, _DIRECTION = ("Offset", "Position", "Origin"), ("TransformMatrix", "Orientation", "Rotation")
_BYTE_ORDER = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
#: The fields that are read. SimpleITK writes what the image was made of beside them (``dim[0]``, ``0008|0005``).
_FIELDS = {*_POSITION, *_DIRECTION, *_BYTE_ORDER, _LAST, "ObjectType", "NDims", "DimSize", "BinaryData", "HeaderSize"}
_FIELDS |= {"CompressedData", "CompressedDataSize", "DistanceUnits", "ElementSpacing", "ElementSize", "ElementType"}
_FIELDS |= {"ElementNumberOfChannels"}
_TYPES = {"CHAR": "i1", "UCHAR": "u1", "SHORT": "i2", "USHORT": "u2", "INT": "i4", "UINT": "u4", "LONG": "i4"}
_TYPES |= {"ULONG": "u4", "LONG_LONG": "i8", "ULONG_LONG": "u8", "FLOAT": "f4", "DOUBLE": "f8"}


@dataclass(frozen=True)
class _Layout:
    """What a header says.

    Attributes:
        grid: The grid.
        sizes: As in the file, fastest axis first: ``(component, x, y, z)``, or ``(x, y, z, volume)`` if timed.
        timed: Whether the volumes are the last axis.
        dtype: Of the stored voxels.
        place: The file of the voxels.
        begin: The byte at which they begin; -1: as many as there are, at the end of the file.
        compressed: Whether they are compressed.
    """

    grid: Grid
    sizes: tuple[int, int, int, int]
    timed: bool
    dtype: np.dtype[np.generic]
    place: Path
    begin: int
    compressed: bool


def read_header(path: Path) -> tuple[Grid, int]:
    """Return the grid and the number of volumes.

    Raises:
        InputError: If the file is not a MetaImage file, or its voxels are in a file that is not beside it.
    """
    layout = _layout(path)
    return layout.grid, layout.sizes[3 if layout.timed else 0]


def load(path: Path) -> tuple[np.ndarray, Grid]:
    """Return ``(x, y, z, channel)`` and the grid.

    Raises:
        InputError: As :func:`read_header`, and if the data is truncated or damaged.
    """
    layout = _layout(path)
    needed = math.prod(layout.sizes) * layout.dtype.itemsize
    try:
        with open(layout.place, "rb") as handle:
            handle.seek(layout.begin if layout.begin >= 0 else max(0, layout.place.stat().st_size - needed))
            content = _decompressed(handle, needed) if layout.compressed else handle.read(needed)
    except DAMAGED as error:
        raise InputError(f"{path} is cut off or damaged: {error}.") from error
    if len(content) != needed:
        there = f"{len(content):,}" if len(content) < needed else "more"
        raise InputError(f"{path} is cut off or damaged: {needed:,} bytes are needed, {there} are there.")
    data = np.frombuffer(content, layout.dtype).reshape(layout.sizes, order="F")
    return data if layout.timed else data.transpose(1, 2, 3, 0), layout.grid


#: Labelmaps are stored like images.
load_labels = load


def label_statement(path: Path) -> str:
    """Return nothing: labelmaps are not exported as MetaImage."""
    return ""


def files(path: Path) -> list[Path]:
    """Return the file, and that of its voxels if it is another one.

    Raises:
        InputError: As :func:`read_header`.
    """
    place = _place(_header(path)[0], path) if path.suffix.lower() == ".mhd" else path
    return [path] if place == path else [path, place]


def _layout(path: Path) -> _Layout:
    fields, begin = _header(path)
    dimensions = fields.get("NDims")
    if dimensions not in ("3", "4"):
        raise InputError(f"{path} is not a readable image: its header does not say NDims = 3 (or 4).")
    if fields.get("ObjectType", "Image") != "Image" or not _is_true(fields.get("BinaryData", "True")):
        raise InputError(f"{path} is not a readable image: it must hold an image in binary form.")
    axes = int(dimensions)
    size = _whole_numbers(fields, "DimSize", axes, path)
    channels = _whole_numbers({"ElementNumberOfChannels": "1", **fields}, "ElementNumberOfChannels", 1, path)[0]
    if axes == 4 and channels != 1:
        raise InputError(f"{path} holds {channels} components per voxel in 4 dimensions; a file of volumes has one.")
    place = _place(fields, path)
    offset = int(_number_list({"HeaderSize": "0", **fields}, "HeaderSize", 1, path)[0])
    compressed = _is_true(fields.get("CompressedData", "False"))
    if not (0 if compressed else -1) <= offset <= _HEADER_BYTES:
        raise InputError(f"{path} is damaged: HeaderSize is {offset:,}.")
    volumes = size[3] if axes == 4 else channels
    return _Layout(
        grid=_grid(fields, axes, size, volumes, path),
        sizes=(size[0], size[1], size[2], volumes) if axes == 4 else (volumes, size[0], size[1], size[2]),
        timed=axes == 4,
        dtype=_dtype(fields, path),
        place=place,
        begin=offset or (begin if place == path else 0),
        compressed=compressed,
    )


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Return the known fields of a header, up to the one that ends it, and the size of the header in bytes.

    Lines without ``=`` or ``:`` belong to a text of several lines, as DICOM has them.
    """
    fields: dict[str, str] = {}
    begin = 0
    with open(path, "rb") as handle:
        content = handle.read(_HEADER_BYTES)
    while _LAST not in fields:
        line, newline, _ = content[begin:].partition(b"\n") if begin < len(content) else (b"", b"", b"")
        begin += len(line) + len(newline)
        # not one expression for the whole line: it would take minutes for a line of a thousand spaces
        name, *rest = [part.strip() for part in _SEPARATOR.split(line.decode("latin-1"), maxsplit=1)]
        if rest and name in _FIELDS and fields.setdefault(name, rest[0]) != rest[0]:
            raise InputError(f"{path} is not a readable image: its header says {name} twice, and differently.")
        if not newline and _LAST not in fields:
            raise InputError(f"{path} is not a readable image: its header is not that of a MetaImage file.")
    return fields, begin


def _place(fields: dict[str, str], path: Path) -> Path:
    """Return the file of the voxels; raises InputError if it is not one beside the header."""
    name = fields[_LAST]
    if name == "LOCAL":
        return path
    if path.suffix.lower() != ".mhd" or not name or points_elsewhere(name):
        raise InputError(f"{path} points to another file for its voxels ({name[:80]}). Save it as one file.")
    if not path.with_name(name).is_file():
        raise InputError(f"{path} is not complete: the file of its voxels, {name[:80]}, is missing.")
    return path.with_name(name)


def _grid(fields: dict[str, str], axes: int, size: list[int], volumes: int, path: Path) -> Grid:
    spacing = "ElementSpacing" if "ElementSpacing" in fields else "ElementSize"
    sides = np.array(_number_list({spacing: "1 " * axes, **fields}, spacing, axes, path))[:3]
    if sides.min() <= 0:
        raise InputError(f"{path} is damaged: {spacing} is {fields[spacing][:80]}.")
    matrix = _one_of(fields, _DIRECTION, " ".join(map(str, np.eye(axes).ravel())), axes * axes, path)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(matrix, (axes, axes))[:3, :3].T * sides  # one row of the file per axis
    affine[:3, 3] = _one_of(fields, _POSITION, "0 " * axes, axes, path)[:3]
    affine = LPS_TO_RAS @ affine
    unit = unit_named(fields.get("DistanceUnits", ""), path, "DistanceUnits")
    return grid_in_unit(tuple(size[:3]), affine, unit, path, volumes)


def _one_of(fields: dict[str, str], names: tuple[str, ...], default: str, count: int, path: Path) -> list[float]:
    """Return the numbers of a field that has several names; ITK takes any one of them if they differ."""
    present = [name for name in names if name in fields]
    if not present:
        return _number_list({names[0]: default}, names[0], count, path)
    values = [_number_list(fields, name, count, path) for name in present]
    if any(value != values[0] for value in values):
        raise InputError(f"{path} is not a readable image: its header says {' and '.join(present)}, and they differ.")
    return values[0]


def _dtype(fields: dict[str, str], path: Path) -> np.dtype[np.generic]:
    name = fields.get("ElementType", "")
    code = _TYPES.get(name.removeprefix("MET_").removesuffix("_ARRAY"))
    if code is None:
        raise InputError(f"{path} is not a readable image: its ElementType is {name[:40] or 'missing'}.")
    big = any(_is_true(fields.get(order, "False")) for order in _BYTE_ORDER)
    return np.dtype((">" if big else "<") + code)


def _number_list(fields: dict[str, str], name: str, count: int, path: Path) -> list[float]:
    try:
        values = [float(part) for part in fields[name].split()]
    except (KeyError, ValueError):
        values = []
    if len(values) != count or not np.all(np.isfinite(values)):
        given = fields.get(name, "missing")[:80]
        raise InputError(f"{path} is not a readable image: {name} must be {count} numbers; it is {given}.")
    return values


def _whole_numbers(fields: dict[str, str], name: str, count: int, path: Path) -> list[int]:
    values = _number_list(fields, name, count, path)
    if any(value < 1 or value != int(value) or value > 2**31 for value in values):
        raise InputError(f"{path} is damaged: {name} is {fields[name][:80]}.")
    return [int(value) for value in values]


def _is_true(value: str) -> bool:
    return value[:1] in ("T", "t", "1")


def _decompressed(handle: IO[bytes], needed: int) -> bytes:
    """Decompress at most one byte more than needed: a small file may expand to gigabytes."""
    unpacked, content = zlib_decompressor(), bytearray()
    while len(content) <= needed and not unpacked.eof:
        packed = unpacked.unconsumed_tail or handle.read(1 << 20)
        if not packed:
            break
        content += unpacked.decompress(packed, needed + 1 - len(content))
    return bytes(content)
