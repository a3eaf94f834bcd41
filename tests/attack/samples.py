"""What attacks send and look for: honest volumes, secrets, and files made to harm."""

from __future__ import annotations

import gzip
import io
from functools import cache
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from tests import synthetic
from training.images.grid import Grid
from training.modalities import ROLES

CASE = "BraTS20_Training_001"
#: What may never come back.
SECRET = b"the-secret-of-this-machine-7f3a\n"
_GRID = synthetic.brats_grid((48, 56, 48))
#: The position of its first voxel, as NRRD and MetaImage files have it.
_LPS_ORIGIN = "(-23.5,-27.5,-23.5)"


def write_volumes(studies: Path, name: str) -> list[Path]:
    """Write the four modalities of a case; return the files."""
    return sorted(synthetic.write_case(studies, name, grids=_GRID, label=False).iterdir())


def secret_volume(path: Path) -> None:
    """Write a volume that nobody may segment or fetch."""
    path.write_bytes(nifti(synthetic.head(_GRID, "t1ce").data, comment=SECRET.strip()))


def hidden_case(folder: Path, elsewhere: Path) -> None:
    """Make a case of the studies of links to files elsewhere."""
    folder.mkdir()
    for role in ROLES:
        secret_volume(elsewhere / f"{role}.nii.gz")
        (folder / f"{role}.nii.gz").symlink_to(elsewhere / f"{role}.nii.gz")


def nifti(data: np.ndarray, grid: Grid = _GRID, *, comment: bytes = b"", packed: bool = True, **fields: Any) -> bytes:
    """Return a NIfTI file; ``fields`` of its header are set at the end, to whatever an attacker likes."""
    image = nibabel.Nifti1Image(data, grid.affine)
    image.header["descrip"] = comment
    buffer = io.BytesIO()
    image.to_file_map({"header": nibabel.FileHolder(fileobj=buffer), "image": nibabel.FileHolder(fileobj=buffer)})
    header = nibabel.Nifti1Header(buffer.getvalue()[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    content = header.binaryblock + buffer.getvalue()[348:]
    return gzip.compress(content, 1) if packed else content


def nifti2(data: np.ndarray, **fields: Any) -> bytes:
    """Return a NIfTI-2 file, whose sizes have 64 bits; ``fields`` as for :func:`nifti`."""
    header = nibabel.Nifti2Image(data, _GRID.affine).header.copy()
    header["vox_offset"], header["magic"] = 544, b"n+2"
    for name, value in fields.items():
        header[name] = value
    return header.binaryblock + bytes(4) + data.tobytes(order="F")


@cache
def four_volumes() -> bytes:
    return nifti(np.stack([synthetic.head(_GRID, role).data for role in ROLES], axis=-1))


@cache
def label() -> bytes:
    return nifti(labels())


def labels() -> np.ndarray:
    """The voxels of a label that fits the case."""
    return synthetic.truth(_GRID).data


@cache
def bomb(megabytes: int = 512) -> bytes:
    """A file of half a megabyte whose header asks for 512 MiB of nothing, as an extension."""
    head = nifti(labels(), packed=False, vox_offset=368)[:348] + b"\x01\0\0\0" + np.array([-16, 6], "<i4").tobytes()
    return gzip.compress(head.ljust(megabytes * 2**20, b"\0"), 9)


@cache
def packed_zeros(megabytes: int = 512) -> bytes:
    """512 MiB of nothing as one gzip member, which may stand between others."""
    return gzip.compress(bytes(megabytes * 2**20), 9)


@cache
def nrrd_bomb(megabytes: int = 512) -> bytes:
    """A small NRRD file that speaks of 8 x 8 x 8 voxels and holds 512 MiB."""
    header = b"NRRD0005\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\nsizes: 8 8 8\nencoding: gzip\n"
    header += b"space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n\n"
    return header + packed_zeros(megabytes)


def nrrd(size: str = "48 56 48", *, dimension: str = "3", type: str = "uint8", more: str = "") -> bytes:
    """The label of the case as NRRD, or one that claims another size."""
    header = f"NRRD0005\ntype: {type}\ndimension: {dimension}\nspace: left-posterior-superior\nsizes: {size}\n"
    header += f"space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: {_LPS_ORIGIN}\nencoding: raw\n{more}\n"
    return header.encode() + labels().tobytes(order="F")


def meta_image(
    size: str = "48 56 48", file: str = "LOCAL", channels: int = 1, type: str = "MET_UCHAR", more: str = ""
) -> bytes:
    """The label of the case as MetaImage, or one that claims another size, or names another file for its voxels."""
    offset = _LPS_ORIGIN.strip("()").replace(",", " ")
    return (
        f"ObjectType = Image\nNDims = 3\nBinaryData = True\nOffset = {offset}\nElementSpacing = 1 1 1\n{more}"
        f"DimSize = {size}\nElementNumberOfChannels = {channels}\nElementType = {type}\nElementDataFile = {file}\n"
    ).encode() + labels().tobytes(order="F")
