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
    claim = f"its header says {UNIT_NAMES[stated]}" if stated else "its header names no unit, which means millimeters"
    raise InputError(
        f"{TITLES[role]} ({role}) cannot be a head: {claim}, which makes it {_length(longest)} long. "
        f"{_way_out(fitting, nifti=grid.position is not None and bool(grid.position.nifti))}",
        field=role,
    )


def form_warnings(volumes: Mapping[str, Volume], reference: str) -> list[str]:
    """Return a warning for each modality that 3D Slicer lays elsewhere on the reference than training does.

    That happens if sform and qform of a NIfTI file differ, and not in the same way as those of the reference.
    """
    base = volumes[reference].grid
    found = []
    for role in (role for role in ROLES if role in volumes):
        grid = volumes[role].grid
        last = np.array(grid.shape) - 1
        corners = np.array([[x, y, z] for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])])
        used, shown = index_map(base.affine, grid.affine), index_map(base.itk_affine, grid.itk_affine)
        moved = (corners @ (used - shown)[:3, :3].T + (used - shown)[:3, 3]) @ base.affine[:3, :3].T
        apart = float(np.linalg.norm(moved, axis=1).max())
        if apart > _APART_MM:
            found.append(_form_warning(role, grid, reference, base, apart))
    return found


def _form_warning(role: str, grid: Grid, reference: str, base: Grid, apart: float) -> str:
    own = not np.allclose(grid.affine, grid.itk_affine, rtol=0, atol=1e-3)
    name, differing = (role, grid.position) if own else (reference, base.position)
    assert differing is not None  # without one, both affines are the same
    elsewhere = f"{TITLES[role]} lies up to {apart:.0f} mm elsewhere on {TITLES[reference]}"
    if not differing.nifti:
        unit = UNIT_NAMES[differing.unit]
        return f"The header of {TITLES[name]} says {unit}, which 3D Slicer ignores: in it, {elsewhere}."
    used, shown = differing.forms
    text = (
        f"The header of {TITLES[name]} states two positions that differ, {used} and {shown}. The {used} is used, as "
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
