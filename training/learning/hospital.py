"""A hospital: a named list of labeled cases, of which some are corrected one by one and others stay unseen."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from training.cases.case import Case
from training.errors import InputError
from training.repeated import first_repeated

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Hospital:
    """The labeled cases of one hospital.

    Attributes:
        name: A slug; names folders.
        cases: Labeled cases with unique ids.
        about: One sentence for the report.
    """

    name: str
    cases: tuple[Case, ...]
    about: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"A hospital's name holds up to 40 letters, digits, - and _; {self.name!r} does not fit. Give it as "
                "NAME=FOLDER.",
                field="cases",
            )

    def case(self, case_id: str) -> Case:
        """Return one case."""
        return next(case for case in self.cases if case.id == case_id)


@dataclass(frozen=True)
class Draw:
    """One random draw of a hospital: the cases that may be corrected, and those that stay unseen, by id.

    No patient has cases in both.
    """

    pool: tuple[str, ...]
    unseen: tuple[str, ...]


def draw_cases(hospital: Hospital, order: int, *, unseen: int, corrected: int) -> Draw:
    """Draw the unseen patients of an order.

    Args:
        hospital: The hospital.
        order: Number of the order; each has a draw of its own, which depends on nothing but the hospital's name and
            patients.
        unseen: Number of unseen patients.
        corrected: Number of cases that must be left to correct.

    Raises:
        InputError: If the hospital has too few cases.
    """
    patients = sorted({case.patient for case in hospital.cases})
    drawn = seeded(hospital.name, order).permutation(patients)[:unseen]
    left = tuple(case.id for case in hospital.cases if case.patient not in drawn)
    if len(drawn) < unseen or len(left) < corrected:
        raise InputError(
            f"Hospital {hospital.name} has {len(hospital.cases)} cases of {len(patients)} patients; {corrected} to "
            f"correct and {unseen} unseen patients need more. Give more cases, or lower --counts or --unseen.",
            field="cases",
        )
    return Draw(left, tuple(case.id for case in hospital.cases if case.patient in drawn))


def seeded(name: str, *numbers: int) -> np.random.Generator:
    """Return a random generator for a name and numbers."""
    return np.random.default_rng([zlib.crc32(name.encode()), *numbers])


def check_names(hospitals: Sequence[Hospital]) -> None:
    """Refuse several hospitals with one name.

    Raises:
        InputError: If a name stands twice.
    """
    repeated = first_repeated(hospital.name for hospital in hospitals)
    if repeated is not None:
        raise InputError(f"Two hospitals are named {repeated}. Name one of them otherwise: NAME=FOLDER.", field="cases")


def others_of(hospitals: Iterable[Hospital], own: Hospital, count: int) -> list[tuple[str, str]]:
    """Return the hospital and the id of the first ``count`` cases (by id) of each other hospital."""
    return [
        (hospital.name, case_id)
        for hospital in hospitals
        if hospital.name != own.name
        for case_id in sorted(case.id for case in hospital.cases)[:count]
    ]
