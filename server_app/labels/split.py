"""Assignment of patients to the training or validation set: made once per patient, stored, and never changed.

The assignment is a hash of the patient, so it depends neither on the number of cases nor on the order in which they
arrive. Only the first three labeled patients of a workspace are always for training, so that the first corrections are
learned from. Each entry has the reason for its assignment.

Every final label records its patient's part, so a file that is missing or damaged is rebuilt from the labels.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from server_app.common.quarantine import Quarantine
from server_app.labels.store import LabelStore
from training.atomic import write_json
from training.cases.names import first_patient_of
from training.retraining.split import FIRST_PATIENTS, is_validation, part_of

TRAIN = "train"
VALIDATION = "validation"

#: Seconds to wait for another process that assigns patients.
_LOCK_SECONDS = 30.0


def draw(patient: str) -> str:
    """Return the part that the hash assigns to a patient."""
    return VALIDATION if is_validation(patient) else TRAIN


class Split:
    """The stored split.

    Thread-safe and process-safe.

    Args:
        path: The file ``split.json``, directly in the workspace; written when the first patient is assigned.
        labels: From which it can be rebuilt.
    """

    def __init__(self, path: Path, labels: LabelStore) -> None:
        self._path = path
        self._labels = labels
        self._lock = threading.RLock()
        self._seen: tuple[tuple[int, int, int], dict[str, dict[str, str]]] | None = None

    def assign(self, patients: Iterable[str]) -> dict[str, str]:
        """Return ``train`` or ``validation`` for each patient, and store new ones in the order given."""
        patients = list(patients)
        with self._lock:
            entries = self.read()
            if any(patient not in entries for patient in patients):
                with FileLock(self._path.with_name(".split.lock"), timeout=_LOCK_SECONDS):
                    entries = self.read()  # the process of a training run may have been faster
                    for patient in patients:
                        if patient not in entries:
                            entries[patient] = _entry(patient, len(entries))
                    write_json(self._path, entries)
            return {patient: entry["split"] for patient, entry in entries.items()}

    def of(self, patient: str) -> str | None:
        """Return ``train`` or ``validation``; ``None`` for a patient without a label."""
        entry = self.read().get(patient)
        return entry["split"] if entry else None

    def read(self) -> dict[str, dict[str, str]]:
        """Return the entries by patient; rebuilt from the labels if the file is missing or damaged."""
        with self._lock:
            try:
                return dict(self._parsed())
            except FileNotFoundError:
                entries = self._from_labels()
            except ValueError as error:
                entries = self._from_labels()
                done = f"{len(entries)} patients were taken from the labels."
                Quarantine.of(self._path.parent).set_aside(self._path, f"It cannot be read: {error}.", done)
            if entries:
                with contextlib.suppress(OSError):  # reading must go on when the disk is full
                    write_json(self._path, entries)
            return entries

    def _parsed(self) -> dict[str, dict[str, str]]:
        """Return the content of the file, parsed again only if it changed: lists of cases read it for each case."""
        stat = self._path.stat()
        state = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if self._seen is None or self._seen[0] != state:
            self._seen = (state, parse_split(self._path.read_text(encoding="utf-8")))
        return self._seen[1]

    def _from_labels(self) -> dict[str, dict[str, str]]:
        found: list[tuple[str, str, str]] = []
        for case in self._labels.cases():
            for label in self._labels.versions(case):
                part, patient = label.record.get("split"), label.record.get("patient") or first_patient_of(case)
                if part in (TRAIN, VALIDATION):
                    found.append((str(label.record.get("time")), str(patient), str(part)))
        entries: dict[str, dict[str, str]] = {}
        for _, patient, part in sorted(found, key=lambda label: label[0]):
            entries.setdefault(patient, {"split": part, "reason": "taken from the labels"})
        return entries


def parse_split(text: str) -> dict[str, dict[str, str]]:
    """Read the content of ``split.json``; raises ValueError if it is not valid."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it does not contain a list of patients")
    for patient, entry in content.items():
        if not isinstance(entry, dict) or entry.get("split") not in (TRAIN, VALIDATION):
            raise ValueError(f"the entry of {patient} says neither {TRAIN} nor {VALIDATION}")
    return content


def _entry(patient: str, assigned: int) -> dict[str, str]:
    first = f"one of the first {FIRST_PATIENTS} labeled patients"
    reason = first if assigned < FIRST_PATIENTS else "hash of the patient"
    return {"split": part_of(patient, assigned), "reason": reason}
