"""The header of a NRRD file: the voxels' type, size and geometry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from TumorLoopLib.client.errors import LocalFileError
from TumorLoopLib.i18n import _

_TYPES: dict[str, str] = {
    "int8": "int8",
    "uint8": "uint8",
    "int16": "int16",
    "uint16": "uint16",
    "int32": "int32",
    "uint32": "uint32",
    "int64": "int64",
    "uint64": "uint64",
    "float32": "float",
    "float64": "double",
}

# The names of each type that the format allows.
_KNOWN_TYPES: dict[str, str] = {
    name: dtype
    for dtype, names in {
        "int8": "signed char,int8,int8_t",
        "uint8": "uchar,unsigned char,uint8,uint8_t",
        "int16": "short,short int,signed short,signed short int,int16,int16_t",
        "uint16": "ushort,unsigned short,unsigned short int,uint16,uint16_t",
        "int32": "int,signed int,int32,int32_t",
        "uint32": "uint,unsigned int,uint32,uint32_t",
        "int64": "longlong,long long,long long int,signed long long,signed long long int,int64,int64_t",
        "uint64": "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t",
        "float32": "float",
        "float64": "double",
    }.items()
    for name in names.split(",")
}

# Signs of the axes from the file's space to RAS.
_SPACES: dict[str, tuple[float, float, float]] = {
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
}

_LONGEST_HEADER = 1 << 20
_HIGHEST_GZIP_RATIO = 1100  # a little above deflate's limit of 1032


@dataclass(frozen=True)
class Header:
    """The header of a file.

    Attributes:
        dtype: With byte order.
        sizes: Voxels along i, j, k.
        encoding: ``raw`` or ``gzip``.
        ijk_to_ras: 4x4 float64.
    """

    dtype: np.dtype
    sizes: tuple[int, int, int]
    encoding: str
    ijk_to_ras: np.ndarray

    @property
    def byte_count(self) -> int:
        """Size of the voxels in bytes."""
        return math.prod(self.sizes) * self.dtype.itemsize


def text_for(array_kji: np.ndarray, ijk_to_ras: np.ndarray) -> str:
    """Return the header of a gzip-compressed little-endian file, including the empty line at its end.

    Raises:
        ValueError: If the array or the affine cannot be stored.
    """
    if array_kji.ndim != 3 or array_kji.dtype.name not in _TYPES:
        raise ValueError(f"a volume has three axes and real numbers, not {array_kji.ndim} of {array_kji.dtype}")
    if ijk_to_ras.shape != (4, 4) or not np.all(np.isfinite(ijk_to_ras)):
        raise ValueError("an affine has 4x4 finite numbers")
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijk_to_ras
    axes = " ".join(_vector(lps[:3, axis]) for axis in range(3))
    lines = [
        "NRRD0004",
        f"type: {_TYPES[array_kji.dtype.name]}",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(side) for side in array_kji.shape[::-1]),
        f"space directions: {axes}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(lps[:3, 3])}",
    ]
    return "\n".join(lines) + "\n\n"


def parse(content: bytes, name: str) -> tuple[Header, int]:
    """Read the header of a file.

    Args:
        content: The whole file.
        name: Of the file, for errors.

    Returns:
        The header and where the voxels begin.

    Raises:
        LocalFileError: If it is not a NRRD file, or one that the panel cannot use.
    """
    if not content.startswith(b"NRRD000"):
        raise LocalFileError(_("{name} is not a NRRD file.").format(name=name))
    fields, start = _fields(content, name)
    _refuse_detached(fields, name)
    sizes = _sizes(fields, name)
    encoding = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}.get(_field(fields, "encoding", name).lower())
    if encoding is None:
        raise _unusable(name, "encoding", fields["encoding"])
    header = Header(_dtype(fields, name), sizes, encoding, _ijk_to_ras(fields, name))
    stored = len(content) - start
    if header.byte_count > stored * (_HIGHEST_GZIP_RATIO if encoding == "gzip" else 1):
        raise LocalFileError(
            _("{name} is cut off: it cannot hold the {sizes} voxels of its header. Fetch or save it again.").format(
                name=name, sizes=" x ".join(str(side) for side in sizes)
            )
        )
    return header, start


def _fields(content: bytes, name: str) -> tuple[dict[str, str], int]:
    """Return the fields by lower-case name, and where the empty line after them ends."""
    fields: dict[str, str] = {}
    start = content.find(b"\n") + 1
    while 0 < start < _LONGEST_HEADER:
        end = content.find(b"\n", start)
        if end < 0:
            break
        line = content[start:end].rstrip(b"\r").decode("utf-8", "replace")
        start = end + 1
        if not line:
            return fields, start
        field, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):  # "key:=value" is a note
            fields[field.strip().lower()] = value.strip()
    raise LocalFileError(_("{name} is cut off: its header does not end. Fetch or save it again.").format(name=name))


def _field(fields: Mapping[str, str], field: str, name: str) -> str:
    if field not in fields:
        raise LocalFileError(
            _("{name} is damaged or from another program: its header has no '{field}'. Save it again.").format(
                name=name, field=field
            )
        )
    return fields[field]


def _refuse_detached(fields: Mapping[str, str], name: str) -> None:
    if "data file" in fields or "datafile" in fields:
        raise LocalFileError(_("{name} keeps its voxels in another file. Save it as one .nrrd file.").format(name=name))
    for field in ("byte skip", "byteskip", "line skip", "lineskip"):
        if fields.get(field, "0") != "0":
            raise _unusable(name, field, fields[field])


def _sizes(fields: Mapping[str, str], name: str) -> tuple[int, int, int]:
    if _field(fields, "dimension", name) != "3":
        raise LocalFileError(
            _("{name} is not a three-dimensional volume: it has {dimension} axes.").format(
                name=name, dimension=fields["dimension"]
            )
        )
    numbers = _numbers(_field(fields, "sizes", name).split(), int)
    if numbers is None or len(numbers) != 3 or min(numbers) < 1:
        raise _unusable(name, "sizes", fields["sizes"])
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def _dtype(fields: Mapping[str, str], name: str) -> np.dtype:
    known = _KNOWN_TYPES.get(_field(fields, "type", name).lower())
    if known is None:
        raise _unusable(name, "type", fields["type"])
    dtype = np.dtype(known)
    if dtype.itemsize == 1:
        return dtype
    order = {"little": "<", "big": ">"}.get(_field(fields, "endian", name).lower())
    if order is None:
        raise _unusable(name, "endian", fields["endian"])
    return np.dtype(order + dtype.str[1:])


def _ijk_to_ras(fields: Mapping[str, str], name: str) -> np.ndarray:
    signs = _SPACES.get(_field(fields, "space", name).lower())
    if signs is None:
        raise _unusable(name, "space", fields["space"])
    vectors = _vectors(_field(fields, "space directions", name), 3)
    origin = _vectors(_field(fields, "space origin", name), 1)
    if vectors is None:
        raise _unusable(name, "space directions", fields["space directions"])
    if origin is None:
        raise _unusable(name, "space origin", fields["space origin"])
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = np.array(vectors).T  # the file lists one vector per axis; in an affine those are columns
    ijk_to_ras[:3, 3] = origin[0]
    ijk_to_ras[:3] *= np.array(signs)[:, None]
    if abs(np.linalg.det(ijk_to_ras[:3, :3])) < 1e-9:
        raise _unusable(name, "space directions", fields["space directions"])
    return ijk_to_ras


def _vectors(text: str, count: int) -> list[list[float]] | None:
    """Read ``(1,0,0) (0,1,0)``; ``None`` unless there are ``count`` vectors of three finite numbers."""
    parts = text.replace(" ", "").strip("()").split(")(")
    vectors = [_numbers(part.split(","), float) for part in parts]
    complete = [vector for vector in vectors if vector is not None and len(vector) == 3]
    return complete if len(complete) == len(vectors) == count else None


def _numbers(texts: list[str], kind: type[int] | type[float]) -> list[float] | None:
    try:
        numbers = [kind(text) for text in texts]
        return numbers if all(math.isfinite(number) for number in numbers) else None
    except (ValueError, OverflowError):
        return None


def _vector(numbers: np.ndarray) -> str:
    return "(" + ",".join(repr(float(number)) for number in numbers) + ")"


def _unusable(name: str, field: str, value: str) -> LocalFileError:
    return LocalFileError(
        _("{name} cannot be used: '{field}: {value}' in its header is damaged or unknown. Save it again.").format(
            name=name, field=field, value=value
        )
    )
