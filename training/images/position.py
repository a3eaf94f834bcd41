"""Where a file says its voxels lie, where that is more than one affine in millimeters.

A NIfTI header holds two affines, the sform and the qform, which may differ, and a unit. NRRD and MetaImage may state a
unit, too, which ITK ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.errors import InputError

#: Millimeters per unit, by the unit's symbol.
UNITS: dict[str, float] = {"m": 1e3, "cm": 10.0, "mm": 1.0, "um": 1e-3, "nm": 1e-6}
#: The names of the units in sentences.
UNIT_NAMES: dict[str, str] = {
    "m": "meters",
    "cm": "centimeters",
    "mm": "millimeters",
    "um": "micrometers",
    "nm": "nanometers",
}
#: Symbols by NIfTI's code for the unit of space (nifti1.h: NIFTI_UNITS_METER ...).
_NIFTI_UNITS = {1: "m", 2: "mm", 3: "um"}
#: The fields of a NIfTI header that say where the voxels lie; of ``pixdim``, the first four numbers.
_NIFTI_FIELDS: tuple[str, ...] = (
    "qform_code",
    "sform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
)
_NIFTI_FIELDS += ("qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units")
#: The tolerance of ITK for directions at right angles, and for equal forms.
_ITK_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class FilePosition:
    """What a file says about the position of its voxels.

    Attributes:
        itk_affine: 4x4, voxel index to the RAS position at which ITK, and so 3D Slicer, shows the voxel.
        affines: All affines of the file, in millimeters: other programs may place it, or a label of it, by any of them.
        unit: The unit of the header's numbers, one of :data:`UNITS`; empty if the header states none.
        nifti: Of a NIfTI file, the fields of the header that say where its voxels lie.
        forms: Of a NIfTI file, the names of the affine that training uses and of the one that ITK uses.
    """

    itk_affine: np.ndarray
    affines: tuple[np.ndarray, ...]
    unit: str = ""
    nifti: Mapping[str, np.ndarray] = field(default_factory=dict)
    forms: tuple[str, str] = ("sform", "sform")


def unit_scale(unit: str) -> float:
    """Return the millimeters per unit; 1 for a unit that is not stated."""
    return UNITS.get(unit, 1.0)


def unit_named(name: str, path: Path, field_name: str) -> str:
    """Return the symbol of a unit (one of :data:`UNITS`) from a name in a file; empty if it states none.

    Args:
        name: For example ``um``, ``microns`` or ``Millimeter``.
        path: Path of the file, for errors.
        field_name: Of its header, for errors.

    Raises:
        InputError: If it is not a known unit of length.
    """
    plain = name.strip().strip('"').lower().replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    if plain in ("", "???", "?", "none", "unknown"):
        return ""
    full = {"micron": "um", **{long.removesuffix("s"): symbol for symbol, long in UNIT_NAMES.items()}}
    symbol = full.get(plain.removesuffix("s").replace("metre", "meter"), plain)
    if symbol not in UNITS:
        known = ", ".join(UNITS)
        raise InputError(f"{path}: {field_name} is {name.strip()!r}, which is not a known unit of length ({known}).")
    return symbol


def nifti_unit(header: Any) -> str:
    """Return the symbol of the unit of space of a NIfTI header; empty if it states none."""
    return _NIFTI_UNITS.get(int(header["xyzt_units"]) & 7, "")


def nifti_affine(affine: np.ndarray, header: Any) -> np.ndarray:
    """Return an affine of a NIfTI header, 4x4 in the unit of the header, in millimeters."""
    scale = unit_scale(nifti_unit(header))
    if scale == 1.0:
        return np.array(affine, np.float64)
    # As decimal numbers: 0.001 m is stored as 0.00100000005 and would be more than 1 mm.
    scaled = np.array([float(str(number)) for number in np.asarray(affine, np.float32).ravel()]).reshape(4, 4)
    scaled[:3] *= scale
    return scaled


def nifti_position(header: Any, affine: np.ndarray) -> FilePosition:
    """Return what a NIfTI header says about the position of its voxels.

    Args:
        header: Of nibabel, NIfTI-1 or NIfTI-2; at least one of its codes is not 0.
        affine: The affine that training uses, in millimeters: the sform if its code is not 0, else the qform.
    """
    kept = {name: np.array(header[name]) for name in _NIFTI_FIELDS}
    kept["pixdim"] = np.array(header["pixdim"][:4])
    own = "sform" if int(header["sform_code"]) > 0 else "qform"
    forms = {name: form for name in ("sform", "qform") if (form := _form(header, name)) is not None}
    by_itk = _by_itk(forms, int(header["sform_code"]))
    if by_itk is None:
        return FilePosition(affine, (affine, *forms.values()), nifti_unit(header), kept, (own, own))
    itk_affine = _with_sizes(forms[by_itk], header)
    same_sizes = np.allclose(itk_affine, forms[by_itk], rtol=0, atol=1e-3)
    shown = by_itk if same_sizes else f"{by_itk} with the voxel sizes of pixdim"
    if np.allclose(itk_affine, affine, rtol=0, atol=1e-5):  # the float32 numbers of the header, rounded otherwise
        itk_affine = affine
    return FilePosition(itk_affine, (affine, *forms.values()), nifti_unit(header), kept, (own, shown))


def write_nifti_position(position: FilePosition, header: Any) -> np.ndarray:
    """Put the fields of :attr:`FilePosition.nifti` into a NIfTI header of nibabel; return its affine."""
    for name, value in position.nifti.items():
        if name == "pixdim":
            header["pixdim"][:4] = value
        else:
            header[name] = value
    return np.asarray(header.get_best_affine())


def _by_itk(forms: Mapping[str, np.ndarray], sform_code: int) -> str | None:
    """Return the name of the form that ITK uses; ``None`` if it rejects the file.

    ITK takes the sform if its axes are at right angles and the qform is not set, the sform is that of the scanner
    (code 1), or both agree; else the qform. Voxel sizes are those of ``pixdim`` either way
    (``NiftiImageIO::SetImageIOOrientationFromNIfTI`` of ITK 5.3 and later, confirmed with SimpleITK for all pairs of
    codes; if the forms differ only in the order or sign of the axes, it may take the sform nevertheless).
    """
    sform, qform = forms.get("sform"), forms.get("qform")
    usable = sform is not None and _at_right_angles(sform)
    if qform is None:
        return "sform" if usable else None
    agree = sform is not None and np.allclose(sform, qform, rtol=0, atol=_ITK_TOLERANCE)
    return "sform" if usable and (sform_code == 1 or agree) else "qform"


def _form(header: Any, name: str) -> np.ndarray | None:
    """Return the sform or qform in millimeters; ``None`` if it is not set or cannot be used."""
    import nibabel

    if int(header[f"{name}_code"]) <= 0:
        return None
    try:
        with np.errstate(all="ignore"):
            form = nifti_affine(header.get_sform() if name == "sform" else header.get_qform(), header)
    except (nibabel.spatialimages.HeaderDataError, ValueError, np.linalg.LinAlgError):
        return None
    return form if np.all(np.isfinite(form)) and np.linalg.norm(form[:3, :3], axis=0).min() > 0 else None


def _at_right_angles(form: np.ndarray) -> bool:
    axes = form[:3, :3] / np.linalg.norm(form[:3, :3], axis=0)
    return bool(np.allclose(axes.T @ axes, np.eye(3), rtol=0, atol=_ITK_TOLERANCE))


def _with_sizes(form: np.ndarray, header: Any) -> np.ndarray:
    """Return an affine with the voxel sizes of ``pixdim``, where those are usable."""
    sizes = np.diag(nifti_affine(np.diag([*header["pixdim"][1:4], 1.0]), header))[:3]
    affine = form.copy()
    if np.all(np.isfinite(sizes)) and sizes.min() > 0:
        affine[:3, :3] *= sizes / np.linalg.norm(form[:3, :3], axis=0)
    return affine
