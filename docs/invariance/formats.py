"""Writing a head into files of all the formats, header forms, units, data types and names that are read.

Files are written with nibabel and SimpleITK, not with TumorLoop's own writers, which are under test.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import DTypeLike

from training.images.grid import Volume
from training.modalities import ROLES

#: The four modalities by role, as stored in the files.
Head = Mapping[str, Volume]
#: Writes a head into an empty folder. Returns role to file if the names of the files do not tell the modalities.
Writer = Callable[[Head, Path], Mapping[str, Path] | None]

_PER_MILLIMETER = {"mm": 1.0, "micron": 1000.0, "meter": 0.001}
_MEMBERS = 3


def as_nifti(
    ending: str = ".nii",
    *,
    names: Mapping[str, str] | None = None,
    told: bool = False,
    dtype: DTypeLike | None = None,
    unit: str = "mm",
    kind: Any = nibabel.Nifti1Image,
    big_endian: bool = False,
    set_forms: Callable[[Any, np.ndarray], None] | None = None,
) -> Writer:
    """Return a writer of one NIfTI file per modality.

    Args:
        ending: ``.nii``, ``.nii.gz`` or ``.hdr`` (with its ``.img``).
        names: Role to name of the file; by default the role.
        told: Whether the roles are told to the reader, because names say nothing.
        dtype: Data type in the file; floats are scaled to the range of an integer type (``scl_slope``).
        unit: Unit of length, one of ``mm``, ``micron``, ``meter``.
        kind: nibabel's class.
        big_endian: Whether to write the bytes in the order of big-endian machines.
        set_forms: Called with the image and its affine, to set qform and sform; by default :func:`one_form`.
    """

    def write(head: Head, folder: Path) -> Mapping[str, Path] | None:
        paths = {}
        for role, volume in head.items():
            affine = volume.grid.affine * np.array([[_PER_MILLIMETER[unit]]] * 3 + [[1.0]])
            header = kind.header_class(endianness=">") if big_endian else None
            image = kind(_storable(volume.data), affine, header, dtype=None if dtype else _storable(volume.data).dtype)
            image.header.set_xyzt_units(unit)
            if dtype is not None:
                image.set_data_dtype(dtype)
            (set_forms or one_form)(image, affine)
            paths[role] = folder / f"{names[role] if names else role}{ending}"
            image.to_filename(paths[role])
        return paths if told else None

    return write


def one_form(image: Any, affine: np.ndarray) -> None:
    """Set qform and sform alike."""
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")


def only_sform(image: Any, affine: np.ndarray) -> None:
    """Set the sform alone."""
    image.set_sform(affine, code="aligned")
    image.set_qform(None, code="unknown")


def only_qform(image: Any, affine: np.ndarray) -> None:
    """Set the qform alone."""
    image.set_qform(affine, code="scanner")
    image.set_sform(None, code="unknown")


def two_forms(image: Any, affine: np.ndarray) -> None:
    """Set a qform 20 mm and 10 degrees off the sform, as a registration that writes the sform alone leaves them."""
    angle = np.deg2rad(10)
    move = np.eye(4)
    move[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    move[0, 3] = 20
    image.set_sform(affine, code="aligned")
    image.set_qform(move @ affine, code="scanner")


def as_gzip_members(head: Head, folder: Path) -> None:
    """Write ``.nii.gz`` files of several gzip members, as parallel compressors do, at the highest level."""
    as_nifti()(head, folder)
    for role in head:
        plain = folder / f"{role}.nii"
        content = plain.read_bytes()
        size = -(-len(content) // _MEMBERS)
        parts = [gzip.compress(content[start : start + size], 9) for start in range(0, len(content), size)]
        (folder / f"{role}.nii.gz").write_bytes(b"".join(parts))
        plain.unlink()


def as_4d(head: Head, folder: Path) -> None:
    """Write one 4D file in the order of the Medical Segmentation Decathlon: FLAIR, T1w, T1gd, T2w."""
    stacked = np.stack([_storable(head[role].data) for role in ("flair", "t1", "t1ce", "t2")], axis=-1)
    image = nibabel.Nifti1Image(stacked, head["t1ce"].grid.affine)
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(folder / "BRATS_001.nii")


def as_itk(ending: str) -> Writer:
    """Return a writer of what SimpleITK makes of NIfTI files, their header fields included (``dim[0] = 3``)."""

    def write(head: Head, folder: Path) -> None:
        import SimpleITK as sitk

        sitk.ProcessObject.SetGlobalWarningDisplay(False)  # it names each header field that MetaImage cannot hold
        as_nifti()(head, folder)
        for role in head:
            plain = folder / f"{role}.nii"
            sitk.WriteImage(sitk.ReadImage(str(plain)), str(folder / f"{role}{ending}"))
            plain.unlink()

    return write


#: Names of BraTS 2023.
BRATS_2023 = dict(zip(ROLES, (f"BraTS-GLI-90001-000-{name}" for name in ("t1n", "t1c", "t2w", "t2f")), strict=True))
#: Names that say nothing, in another order than the modalities.
LETTERS = dict(zip(ROLES, "dbca", strict=True))
#: Names whose alphabetical order is not that of the modalities.
NUMBERED = dict(zip(ROLES, ("4_T1", "3_T1_post_GD", "2_T2", "1_FLAIR"), strict=True))


def _storable(data: np.ndarray) -> np.ndarray:
    """Return whole numbers with 16 bits where they fit; nibabel refuses 64 bits."""
    if data.dtype.kind in "iu" and data.dtype.itemsize > 2:
        return data.astype(np.uint16 if data.min() >= 0 else np.int16)
    return data
