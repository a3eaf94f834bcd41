"""MetaImage files (``.mha`` of BraTS 2012-2015, ``.mhd``), read through SimpleITK."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from training.errors import InputError
from training.volumes import Grid, checked_grid

#: Left-posterior-superior, as ITK counts, to right-anterior-superior.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_HEADER_BYTES = 1 << 20


def read_header(path: Path) -> tuple[Grid, int]:
    """Return the grid and the number of volumes.

    Raises:
        InputError: If SimpleITK cannot read the file.
    """
    import SimpleITK as sitk

    _check_header(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path} is not a readable image: {_reason(error)}") from error
    return _grid(reader, path), _channels(reader, reader.GetNumberOfComponents())


def load(path: Path) -> tuple[np.ndarray, Grid]:
    """Return ``(x, y, z, channel)`` and the grid.

    Raises:
        InputError: If SimpleITK cannot read the file, or it holds complex numbers.
    """
    import SimpleITK as sitk

    _check_header(path)
    try:
        image = sitk.ReadImage(str(path))
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


def _check_header(path: Path) -> None:
    """Refuse headers that must not reach ITK.

    One that names a file elsewhere could, when uploaded, have any file of the machine read as voxels; one with
    more than ten dimensions makes ITK write past its buffers.

    Raises:
        InputError: Saying which of the two it is.
    """
    with open(path, "rb") as handle:
        header = handle.read(_HEADER_BYTES)
    dimensions = re.findall(rb"NDims\s*=\s*(\S+)", header)
    if not dimensions or any(number not in (b"3", b"4") for number in dimensions):
        raise InputError(f"{path} is not a readable image: its header does not say NDims = 3 (or 4).")
    for found in re.findall(rb"ElementDataFile\s*=\s*([^\r\n]*)", header):
        name = found.decode("utf-8", "replace").strip()
        beside = path.suffix.lower() == ".mhd" and Path(name).name == name
        if name != "LOCAL" and not beside:
            raise InputError(f"{path} points to another file for its voxels ({name}). Save it as one file.")
        if name == "LOCAL":
            break  # what follows are voxels


def _grid(image: Any, path: Path) -> Grid:
    dimension = image.GetDimension()
    if dimension not in (3, 4):
        raise InputError(f"{path} has {dimension} dimensions; a volume has 3.")
    direction = np.array(image.GetDirection()).reshape(dimension, dimension)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing())[:3]
    affine[:3, 3] = np.array(image.GetOrigin())[:3]
    volumes = int(image.GetSize()[3]) if dimension == 4 else 1
    return checked_grid(tuple(image.GetSize()[:3]), LPS_TO_RAS @ affine, path, volumes)


def _channels(image: Any, components: int) -> int:
    return int(image.GetSize()[3]) if image.GetDimension() == 4 else int(components)


def _reason(error: RuntimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
