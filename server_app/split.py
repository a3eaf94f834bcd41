"""Which patients train and which validate: drawn once per patient, stored, never drawn again.

The draw is a hash of the patient, so it depends on nothing else: not on the number of cases, nor on the order of
their arrival. The exception is the start: the first three labeled patients of a workspace always train, because a
loop that puts its first correction aside would not learn from it. Each entry says why it is what it is.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path

from training.atomic import write_json
from training.split import is_validation

TRAIN = "train"
VALIDATION = "validation"

#: So many patients train before the hash decides.
FIRST_PATIENTS = 3


def draw(patient: str) -> str:
    """Return what the hash says of a patient."""
    return VALIDATION if is_validation(patient) else TRAIN


class Split:
    """The stored split.

    Args:
        path: The file ``split.json``; written when the first patient is assigned.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def assign(self, patients: Iterable[str]) -> dict[str, str]:
        """Return ``train`` or ``validation`` for each patient, and store those that are new.

        Args:
            patients: In the order in which their labels arrived.
        """
        with self._lock:
            entries = self._read()
            known = len(entries)
            for patient in patients:
                if patient not in entries:
                    entries[patient] = _entry(patient, len(entries))
            if len(entries) > known:
                write_json(self._path, entries)
            return {patient: entry["split"] for patient, entry in entries.items()}

    def of(self, patient: str) -> str | None:
        """Return ``train`` or ``validation``, or ``None`` for a patient without a label so far."""
        entry = self._read().get(patient)
        return entry["split"] if entry else None

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}


def _entry(patient: str, assigned: int) -> dict[str, str]:
    if assigned < FIRST_PATIENTS:
        return {"split": TRAIN, "reason": f"one of the first {FIRST_PATIENTS} labeled patients"}
    return {"split": draw(patient), "reason": "hash of the patient"}
