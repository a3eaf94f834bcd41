"""Who trains and who validates."""

from __future__ import annotations

import json
from pathlib import Path

from server_app.labels.split import FIRST_PATIENTS, TRAIN, VALIDATION, Split, draw
from server_app.labels.store import LabelStore


def split_in(folder: Path) -> Split:
    return Split(folder / "split.json", LabelStore(folder / "labels"))


def test_the_first_patients_train_whatever_their_hash_says(tmp_path: Path) -> None:
    unlucky = [name for name in map(str, range(200)) if draw(name) == VALIDATION][: FIRST_PATIENTS + 1]
    split = split_in(tmp_path)
    assigned = [split.assign([name])[name] for name in unlucky]
    assert assigned == [TRAIN] * FIRST_PATIENTS + [VALIDATION]
    entries = json.loads((tmp_path / "split.json").read_text())
    assert "first 3" in entries[unlucky[0]]["reason"]
    assert entries[unlucky[-1]]["reason"] == "hash of the patient"


def test_a_patient_keeps_the_part_it_was_given(tmp_path: Path) -> None:
    names = [f"patient-{number}" for number in range(40)]
    first = split_in(tmp_path).assign(names)
    assert split_in(tmp_path).assign(reversed(names)) == first
    assert split_in(tmp_path).of("patient-7") == first["patient-7"]
    assert split_in(tmp_path).of("stranger") is None


def test_a_fifth_of_many_patients_validates() -> None:
    share = sum(draw(f"patient-{number}") == VALIDATION for number in range(5000)) / 5000
    assert 0.17 < share < 0.23
