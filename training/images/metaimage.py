"""MetaImage files (``.mha`` of BraTS 2012-2015, ``.mhd``), read through SimpleITK."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from training.errors import InputError
from training.images.grid import Grid, checked_grid

#: From left-posterior-superior (the convention of ITK) to right-anterior-superior.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_HEADER_BYTES = 1 << 20
_FIELD = re.compile(r"[ \t]*(\w+)[ \t]*=[ \t]*([^\r\n]*?)[ \t]*\r?")
_PLAIN = re.compile(r"[\w. +-]+")


def read_header(path: Path) -> tuple[Grid, int]:
    """Return the grid and the number of volumes.

    Raises:
        InputError: If SimpleITK cannot read the file.
    """
    reader = _reader(path)
    return _grid(reader, path), _channels(reader, reader.GetNumberOfComponents())


def load(path: Path) -> tuple[np.ndarray, Grid]:
    """Return ``(x, y, z, channel)`` and the grid.

    Raises:
        InputError: If SimpleITK cannot read the file, or it holds complex numbers.
    """
    import SimpleITK as sitk

    reader = _reader(path)
    _grid(reader, path)  # before ITK allocates as many voxels as the header claims
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(f"{path} is not a readable image: {_reason(error)}") from error
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(f"{path} holds complex numbers, not intensities.")
    grid, channels = _grid(image, path), _channels(image, image.GetNumberOfComponentsPerPixel())
    array = sitk.GetArrayFromImage(image)
    if image.GetDimension() == 4:  # (t, z, y, x)
        data = array.transpose(3, 2, 1, 0)
    else:  # (z, y, x) or (z, y, x, component)
        data = array.reshape(*array.shape[:3], channels).transpose(2, 1, 0, 3)
    return data, grid


#: Labelmaps are stored like images.
load_labels = load


def _reader(path: Path) -> Any:
    """Return ITK's reader of a file, after reading the header."""
    import SimpleITK as sitk

    _check_header(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("MetaImageIO")  # and no other format
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path} is not a readable image: {_reason(error)}") from error
    return reader


def _check_header(path: Path) -> None:
    """Reject headers that must not reach ITK.

    An uploaded header that names another file, a list of files or a pattern could have any file of the machine read as
    voxels; a header with more than ten dimensions makes ITK write past its buffers.

    Raises:
        InputError: If the header is one of these.
    """
    fields = _fields(path)
    if fields.get("NDims") not in ("3", "4"):
        raise InputError(f"{path} is not a readable image: its header does not say NDims = 3 (or 4).")
    name = fields["ElementDataFile"]
    beside = path.suffix.lower() == ".mhd" and _PLAIN.fullmatch(name) is not None and not name.startswith("LIST")
    if name != "LOCAL" and not beside:
        raise InputError(f"{path} points to another file for its voxels ({name[:80]}). Save it as one file.")


def _fields(path: Path) -> dict[str, str]:
    """Return the fields of a header, which must be on separate lines, up to the last one.

    ITK is less strict; headers that it might read differently are rejected.
    """
    fields: dict[str, str] = {}
    with open(path, "rb") as handle:
        header = handle.read(_HEADER_BYTES)
    while "ElementDataFile" not in fields:
        line, newline, header = header.partition(b"\n")
        found = _FIELD.fullmatch(line.decode("latin-1"))
        if found is None or found[1] in fields or not (newline or found[1] == "ElementDataFile"):
            raise InputError(f"{path} is not a readable image: its header is not that of a MetaImage file.")
        fields[found[1]] = found[2]
    return fields


def _grid(image: Any, path: Path) -> Grid:
    dimension = image.GetDimension()
    if dimension not in (3, 4):
        raise InputError(f"{path} has {dimension} dimensions; a volume has 3.")
    direction = np.array(image.GetDirection()).reshape(dimension, dimension)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing())[:3]
    affine[:3, 3] = np.array(image.GetOrigin())[:3]
    components = getattr(image, "GetNumberOfComponentsPerPixel", None) or image.GetNumberOfComponents
    volumes = _channels(image, 1) * int(components())
    return checked_grid(tuple(image.GetSize()[:3]), LPS_TO_RAS @ affine, path, volumes)


def _channels(image: Any, components: int) -> int:
    return int(image.GetSize()[3]) if image.GetDimension() == 4 else int(components)


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
