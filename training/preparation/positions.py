"""Checks of the sizes and positions that the headers of a case state, before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.errors import InputError
from training.images.grid import Grid, Volume
from training.images.position import UNIT_NAMES, UNITS, unit_scale
from training.images.resample import index_map
from training.modalities import ROLES, TITLES

#: Plausible lengths of the longest side of a volume of a head, in millimeters. A wrong unit is a factor of 10 or 1000.
_SHORTEST_MM, _LONGEST_MM = 30.0, 1000.0
#: The most common first.
_COMMON_UNITS = ("mm", "um", "m", "cm")
#: Forms that move a modality by less against the reference make no difference.
_APART_MM = 1.0


def check_size(role: str, grid: Grid) -> None:
    """Reject a volume that cannot be a head of the size that its header states.

    Args:
        role: The modality.
        grid: Of its volume.

    Raises:
        InputError: Names the unit; ``field`` is the role.
    """
    longest = max(side * count for side, count in zip(grid.spacing, grid.shape, strict=True))
    if _SHORTEST_MM <= longest <= _LONGEST_MM:
        return
    stated = grid.position.unit if grid.position is not None else ""
    number = longest / unit_scale(stated)
    fitting = [unit for unit in _COMMON_UNITS if _SHORTEST_MM <= number * UNITS[unit] <= _LONGEST_MM]
    claim = f"its header says {UNIT_NAMES[stated]}" if stated else "its header names no unit, so millimeters are meant"
    raise InputError(
        f"{TITLES[role]} ({role}) cannot be a head: {claim}, which makes it {_length(longest)} long. "
        f"{_way_out(fitting, nifti=grid.position is not None and bool(grid.position.nifti))}",
        field=role,
    )


def position_warnings(volumes: Mapping[str, Volume], reference: str) -> list[str]:
    """Return warnings about modalities that 3D Slicer shows elsewhere on the reference than training takes them to lie.

    That happens if sform and qform of a NIfTI file differ, and not in the same way as those of the reference; and if
    the unit is one that ITK ignores.
    """
    base = volumes[reference].grid
    own: list[str] = []
    moved: dict[str, float] = {}
    for role in (role for role in ROLES if role in volumes):
        apart = _apart(volumes[role].grid, base)
        if apart > _APART_MM:
            moved[role] = apart
            if not _shown_where_used(volumes[role].grid):
                own.append(role)
    if moved and not own:  # it is the reference that is shown elsewhere
        return [_warning(reference, base, sorted(moved, key=ROLES.index), reference, max(moved.values()))]
    found = [_warning(role, volumes[role].grid, [role], reference, moved[role]) for role in own]
    if not found and base.position is not None and not base.position.nifti:
        unit = UNIT_NAMES[base.position.unit]
        found.append(
            f"The header of {TITLES[reference]} says {unit}, which 3D Slicer ignores. A result as .nrrd or .seg.nrrd "
            "lies on it in 3D Slicer; one as NIfTI, which is in millimeters, does not."
        )
    return found


def _apart(grid: Grid, base: Grid) -> float:
    """Return how far apart, in mm, a volume lies on the reference as training and as ITK take them to lie."""
    last = np.array(grid.shape) - 1
    corners = np.array([[x, y, z] for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])])
    change = index_map(base.affine, grid.affine) - index_map(base.itk_affine, grid.itk_affine)
    moved = (corners @ change[:3, :3].T + change[:3, 3]) @ base.affine[:3, :3].T
    return float(np.linalg.norm(moved, axis=1).max())


def _shown_where_used(grid: Grid) -> bool:
    return bool(np.allclose(grid.affine, grid.itk_affine, rtol=0, atol=1e-3))


def _warning(role: str, grid: Grid, moved: list[str], reference: str, apart: float) -> str:
    """Return the warning about the header of one modality, which moves others or itself on the reference."""
    assert grid.position is not None  # without one, both affines are the same
    names = " and ".join(", ".join(TITLES[each] for each in part) for part in (moved[:-1], moved[-1:]) if part)
    verb = "lies" if len(moved) == 1 else "lie"
    elsewhere = f"{names} {verb} up to {apart:.0f} mm elsewhere on {TITLES[reference]}"
    if not grid.position.nifti:
        unit = UNIT_NAMES[grid.position.unit]
        return f"The header of {TITLES[role]} says {unit}, which 3D Slicer ignores: in it, {elsewhere}."
    used, shown = grid.position.forms
    text = (
        f"The header of {TITLES[role]} states two positions that differ, {used} and {shown}. The {used} is used, as "
        f"nibabel and FSL do; 3D Slicer uses the {shown}, and with it {elsewhere}."
    )
    if {used, shown} == {"sform", "qform"}:
        text += f" If the {shown} is right, copy it to the {used}, for instance with 'fslorient -copy{shown}2{used}'."
    return text


def _way_out(fitting: list[str], *, nifti: bool) -> str:
    if not fitting:
        return "Correct the voxel size in its header."
    unit = fitting[0]
    code = {"m": 1, "mm": 2, "um": 3}.get(unit)
    remedy = f"set xyzt_units to {code}" if nifti and code is not None else "convert them to millimeters"
    return f"If its numbers are {UNIT_NAMES[unit]}, {remedy}; else correct the voxel size."


def _length(millimeters: float) -> str:
    return f"{millimeters / 1000:,.3g} m" if millimeters >= 1000 else f"{millimeters:.2g} mm"
