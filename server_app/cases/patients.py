"""The patients of cases where a file says so (``--patients``), and what is doubtful.

A patient's part of the split is never changed, so the file decides only for patients of whom no label was stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from server_app.cases.case_ids import CaseIds
from server_app.labels.split import Split
from training.cases.case import Case, Problem
from training.cases.patient_file import read_patients
from training.errors import InputError


class ListedPatients:
    """Applies the file of the settings.

    Args:
        path: The file; ``None`` if there is none.
        ids: Where the patients of cases are stored.
        split: The stored split.
    """

    def __init__(self, path: Path | None, ids: CaseIds, split: Split) -> None:
        self._path = path
        self._ids = ids
        self._split = split

    def apply(self, cases: Sequence[Case]) -> tuple[list[Case], list[Problem]]:
        """Return the cases with the patients of the file, which are stored; and the lines that cannot be followed."""
        if self._path is None:
            return list(cases), []
        try:
            lines = read_patients(self._path)
        except InputError as error:
            return list(cases), [Problem(self._path, error.message, error.field, lost=False)]
        known = {case.id: case for case in cases}
        problems, changed = [], {}
        for line in lines:
            case = known.get(line.case)
            if case is None:
                problems.append(Problem(self._path, line.unknown(), "patients", lost=False))
            elif case.patient != line.patient and self._split.of(case.patient) is not None:
                message = (
                    f"{line.where}: {case.id} stays with the patient {case.patient}, who is already in the "
                    f"{self._split.of(case.patient)} set: the split never changes."
                )
                problems.append(Problem(self._path, message, "patients", lost=False))
            elif case.patient != line.patient:
                changed[case.id] = line.patient
        if changed:
            self._ids.set_patients(changed)
        return [replace(case, patient=changed.get(case.id, case.patient)) for case in cases], problems
