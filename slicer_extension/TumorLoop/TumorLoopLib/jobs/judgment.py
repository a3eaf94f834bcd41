"""What a model version's card says of the comparison with its parent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BETTER, EQUAL, WORSE, NOT_JUDGED = "better", "equal", "worse", "not judged"


@dataclass(frozen=True)
class PatientChange:
    """A patient's mean Dice and surface Dice at 1 mm, each before and after the training; None if not known."""

    patient: str
    dice: tuple[float | None, float | None]
    surface_dice: tuple[float | None, float | None]


@dataclass(frozen=True)
class Pictures:
    """Pictures of one case with the answers of the parent and of this version.

    Attributes:
        case: The case.
        slice_number: The slice, from 1.
        corrected: Whether the version learned from this very case.
        before: Name of the picture on the server; ``after`` is the other one.
    """

    case: str
    slice_number: int
    corrected: bool
    before: str
    after: str


@dataclass(frozen=True)
class Judgment:
    """How a version compares with its parent; all fields are empty if the card does not say it.

    Attributes:
        outcome: :data:`BETTER`, :data:`EQUAL`, :data:`WORSE`, :data:`NOT_JUDGED`, or empty.
        patients: The patients.
        needed: Number of patients from which there is an outcome.
        means_over: Number of cases of ``means_of`` over which the version's mean Dice is taken.
        means_of: ``validation patients`` or ``phantoms``.
        pictures: None if there are none.
    """

    outcome: str = ""
    patients: tuple[PatientChange, ...] = ()
    needed: int = 0
    means_over: int = 0
    means_of: str = ""
    pictures: Pictures | None = field(default=None)


def judgment_of(metrics: Mapping[str, Any]) -> Judgment:
    """Read the metrics of a card; missing or malformed values are left out."""
    patients, means_of = _object(metrics.get("patients")), str(metrics.get("means_over") or "")
    each = tuple(_change(str(patient), _object(found)) for patient, found in _object(patients.get("each")).items())
    phantoms = _object(_object(metrics.get("guard")).get("differences"))
    cases = len(_object(metrics.get("cases")))
    return Judgment(
        outcome=str(metrics.get("outcome") or ""),
        patients=each,
        needed=int(number_of(patients.get("needed")) or 0),
        means_over=len(phantoms) if means_of == "phantoms" else cases - len(phantoms),
        means_of=means_of,
        pictures=_pictures(_object(metrics.get("pictures"))),
    )


def number_of(value: Any) -> float | None:
    """Return a finite number, or None for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _change(patient: str, found: Mapping[str, Any]) -> PatientChange:
    dice, surface = _object(found.get("dice")), _object(found.get("surface_dice"))
    return PatientChange(
        patient,
        (number_of(dice.get("parent")), number_of(dice.get("candidate"))),
        (number_of(surface.get("parent")), number_of(surface.get("candidate"))),
    )


def _pictures(found: Mapping[str, Any]) -> Pictures | None:
    before, after = found.get("before"), found.get("after")
    if not isinstance(before, str) or not isinstance(after, str):
        return None
    number = int(number_of(found.get("slice")) or 0)
    return Pictures(str(found.get("case") or ""), number, bool(found.get("corrected")), before, after)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
