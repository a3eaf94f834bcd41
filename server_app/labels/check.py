"""Checking a submitted label before it is stored: readable, on the right grid, with known values and names.

How values get their names: a client may send ``label_info``, a list of ``{"name", "idx"}``. The MONAI Label panel
counts scribble segments in ``idx`` although it does not export them, so its file has the values 1, 2, 3 by *position*
in the list. Another client may mean ``idx`` as the value. The interpretation that fits the file is used; if both fit
and disagree, which takes gaps in ``idx``, the label is refused, since one of them would silently swap labels. Without
``label_info`` the values are those of ``/info``, or those of BraTS 2017-2021, where 4 is enhancing tumor; any other
scheme must be named in ``label_scheme``. The segments of a ``.seg.nrrd`` bring their own names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.cases.case import Case
from training.cases.label_files import label_statement, read_labelmap
from training.errors import InputError
from training.images.grid import Volume
from training.images.lattice import on_one_of
from training.images.nrrd import SEGMENT_NAMES
from training.label_names import value_of
from training.label_schemes import BRATS_2017, known_names, parse_scheme, value_counts
from training.modalities import ROLES, TITLES

#: Names of segments that are not labels; allowed in ``label_info`` if the file does not use them.
_NO_LABELS = frozenset({"background", "foreground_scribbles", "background_scribbles"})


@dataclass(frozen=True, eq=False)
class CheckedLabel:
    """A label that can be stored.

    Attributes:
        volume: uint8 with TumorLoop's values, on exactly the reference's grid.
        reference: The role of the volume whose grid it has.
        scheme: How its values were interpreted.
    """

    volume: Volume
    reference: str
    scheme: str


def check_label(
    path: Path,
    case: Case,
    label_info: Any = None,
    *,
    reference: str | None = None,
    allow_empty: bool = False,
    label_scheme: str | None = None,
) -> CheckedLabel:
    """Read a submitted label and check it.

    Args:
        path: The file.
        case: The case it belongs to.
        label_info: ``[{"name": ..., "idx": ...}]`` or ``None``.
        reference: The role of the volume it was drawn on; ``None`` takes T1ce, or else a modality whose grid it has.
        allow_empty: Whether a label without any tumor is intended.
        label_scheme: What its values mean (:func:`training.label_schemes.parse_scheme`); ``None`` as in the module.

    Raises:
        InputError: With what is wrong, where, and numbers.
    """
    label = read_labelmap(path)
    role, label = _placed(case, label, reference)
    values, scheme = _named(path, label, label_info, label_scheme)
    if not allow_empty and not values.any():
        raise InputError(
            "The label is empty. If there really is no tumor, send allow_empty: true in params.", field="label"
        )
    return CheckedLabel(Volume(values, label.grid), role, scheme)


def _named(path: Path, label: Volume, label_info: Any, label_scheme: str | None) -> tuple[np.ndarray, str]:
    """Return TumorLoop's values, uint8, and how they were interpreted."""
    if label_statement(path) == SEGMENT_NAMES:
        return label.data.astype(np.uint8), "contiguous"
    if label_info and label_scheme:
        raise InputError("Send either label_info or label_scheme, not both.", field="label_scheme")
    if label_info:
        return map_by_name(label.data, label_info), "label_info"
    if label_scheme:
        return from_file_values(label.data, label_scheme, where=path.name)
    present = value_counts(label.data)
    if 3 in present and 4 in present:
        raise InputError(
            f"{path.name} holds both 3 and 4. The values of this server are 1 necrotic core, 2 peritumoral edema and "
            "3 enhancing tumor, or 4 for it as in BraTS 2017-2021. Name those of the file in params: label_scheme, "
            "for instance brats-2024-post (4 is the resection cavity), or label_info.",
            field="label",
        )
    if 4 in present:
        return from_file_values(label.data, BRATS_2017.name, where=path.name)
    return from_file_values(label.data, "tumorloop", where=path.name)[0], "contiguous"


def from_file_values(labelmap: np.ndarray, label_scheme: str, *, where: str) -> tuple[np.ndarray, str]:
    """Return a labelmap of a known scheme with TumorLoop's values, uint8, and the name of the scheme.

    Args:
        labelmap: Integers of any shape.
        label_scheme: See :func:`training.label_schemes.parse_scheme`.
        where: Name of the file in errors.

    Raises:
        InputError: If there is no such scheme, or it does not have a value of the file.
    """
    scheme = parse_scheme(label_scheme)
    strange = [value for value in value_counts(labelmap) if value not in scheme.values]
    if strange:
        raise InputError(
            f"{where} holds the values {strange[:5]}; those of the scheme {scheme.name} are {scheme.meaning()}.",
            field="label",
        )
    return scheme.apply(labelmap), scheme.known_name()


def map_by_name(data: np.ndarray, label_info: Any) -> np.ndarray:
    """Map a file's values to TumorLoop's by the names of the segments.

    Args:
        data: Integers of any shape.
        label_info: See the module.

    Returns:
        uint8 of the same shape.

    Raises:
        InputError: If ``label_info`` has another form, or the file has a value without a known name.
    """
    names, numbers = _parse(label_info)
    present = [int(value) for value in np.unique(data) if value != 0]
    by_position = dict(enumerate(names, start=1))
    by_number = dict(zip(numbers, names, strict=True))
    naming = by_position if set(present) <= set(by_position) or not set(present) <= set(by_number) else by_number
    if _differ(by_position, by_number, present):
        raise InputError(
            f"label_info can be read in two ways: the label holds {present}, its idx are {numbers}, and by position "
            "the segments would be others. List all segments, in the order of their values. In MONAI Label's panel, "
            "move scribbles and other segments that are no labels behind the labels, or remove them.",
            field="label_info",
        )
    lookup: dict[int, int] = {}
    for value in present:
        name = naming.get(value)
        if name is None:
            raise InputError(
                f"The label holds the value {value}, but label_info names only {len(names)} segments: "
                f"{', '.join(names)}.",
                field="label_info",
            )
        lookup[value] = _value_of(name, value)
    mapped = np.zeros(data.shape, np.uint8)
    for value, target in lookup.items():
        mapped[data == value] = target
    return mapped


def _differ(by_position: Mapping[int, str], by_number: Mapping[int, str], present: Sequence[int]) -> bool:
    """Return whether both interpretations fit all values and disagree: one of them would silently swap labels."""
    both = all(value in by_position and value in by_number for value in present)
    return both and any(by_position[value] != by_number[value] for value in present)


def _parse(label_info: Any) -> tuple[list[str], list[int]]:
    if not isinstance(label_info, Sequence) or isinstance(label_info, str):
        raise InputError('label_info must be a list of {"name": ..., "idx": ...}.', field="label_info")
    names, numbers = [], []
    for position, entry in enumerate(label_info, start=1):
        name = entry.get("name") if isinstance(entry, Mapping) else entry
        if not isinstance(name, str):
            raise InputError(f"Entry {position} of label_info has no name.", field="label_info")
        number = entry.get("idx", position) if isinstance(entry, Mapping) else position
        if isinstance(number, bool) or not isinstance(number, int):
            raise InputError(f"The idx of {name!r} in label_info must be a whole number.", field="label_info")
        if name.lower() not in _NO_LABELS:
            names.append(name)
            numbers.append(number)
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise InputError(f"label_info names {sorted(repeated)[0]!r} twice.", field="label_info")
    return names, numbers


def _value_of(name: str, value: int) -> int:
    known_value = value_of(name)
    if known_value is not None:
        return known_value
    raise InputError(
        f"The segment {name!r} (value {value}) is none of the labels: {known_names()}. Rename it, or leave it out.",
        field="label_info",
    )


def _placed(case: Case, label: Volume, role: str | None) -> tuple[str, Volume]:
    """Return the volume on whose voxels the label lies, and the label on exactly its grid."""
    if role is not None and role not in ROLES:
        raise InputError(f"The reference must be one of {', '.join(ROLES)}, not {role!r}.", field="reference")
    preferred = role or "t1ce"
    roles = [preferred, *(other for other in ROLES if role is None and other != preferred)]
    grids = {other: case.sources[other].read_grid() for other in roles}
    found = on_one_of(label, grids)
    if found is not None:
        return found
    raise InputError(
        f"The label is not on the grid of {TITLES[preferred]} of case {case.id}: "
        f"{grids[preferred].difference(label.grid)} ({TITLES[preferred]} against label). Export it with that volume as "
        "reference.",
        field="label",
    )
