"""NIfTI files, read through nibabel."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from training.errors import InputError
from training.volumes import Grid, checked_grid


def read_header(path: Path) -> tuple[Grid, int]:
    """Return the grid and the number of volumes.

    Raises:
        InputError: If the file is no NIfTI file, or does not say where its voxels lie.
    """
    image = _open(path)
    shape = _sides(image, path)
    return checked_grid(shape[:3], _affine(image, path), path), shape[3]


def load(path: Path) -> tuple[np.ndarray, Grid]:
    """Return ``(x, y, z, channel)`` and the grid; the stored integers where the file scales nothing.

    Raises:
        InputError: As :func:`read_header`, and if the data is cut off or damaged.
    """
    image = _open(path)
    shape = _sides(image, path)
    grid = checked_grid(shape[:3], _affine(image, path), path)
    if image.get_data_dtype().kind not in "iuf":
        raise InputError(f"{path} holds {image.get_data_dtype()} voxels (colors or complex numbers), not intensities.")
    try:
        stored = image.dataobj
        scales = stored.slope not in (1, 1.0) or stored.inter not in (0, 0.0)
        # Scaling int16 in float64, nibabel's default, would quadruple the memory.
        data = stored.get_scaled(np.float32) if scales else stored.get_unscaled()
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"{path} is cut off or damaged: {_reason(error)}") from error
    return np.asarray(data).reshape(shape), grid


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
