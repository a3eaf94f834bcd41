"""The patients of the server's cases: visits stay together, and a stored split stays as it is."""

import json
from pathlib import Path

import pytest

from server_app.cases.datastore import CaseDatastore
from server_app.labels.split import TRAIN
from server_app.workspace import Workspace
from tests.training.cases import trees


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    return trees.cases(tmp_path / "studies", ["P01-preop", "A1", "A2"])


@pytest.fixture
def open_store(studies, tmp_path):
    def invoke(patients: str | None = None) -> CaseDatastore:
        file = None
        if patients is not None:
            file = tmp_path / "patients.csv"
            file.write_text(patients)
        return CaseDatastore(studies, Workspace(tmp_path / "workspace").make(), patients=file)

    return invoke


def patients(store: CaseDatastore) -> dict[str, str]:
    return {case.id: case.patient for case in store.catalog.all().values()}


def test_a_later_visit_gets_the_patient_that_is_stored_for_an_earlier_one(open_store, studies, tmp_path):
    store = open_store()
    assert patients(store) == {"P01-preop": "P01", "A1": "A", "A2": "A"}
    assert store.catalog.doubtful_patients() == [{"patient": "A", "cases": ["A1", "A2"]}]
    file = tmp_path / "workspace" / "cases.json"  # as an earlier version of the server stored it
    stored = json.loads(file.read_text())
    for one in stored["cases"].values():
        one["patient"] = one["id"]
    file.write_text(json.dumps(stored))
    trees.cases(studies, ["P01-postop"])
    again = open_store()
    assert patients(again) == {"P01-preop": "P01-preop", "P01-postop": "P01-preop", "A1": "A1", "A2": "A2"}
    assert again.catalog.doubtful_patients() == []


def test_the_file_of_patients_decides_and_is_remembered_without_it(open_store):
    store = open_store("case,patient\nA1,anna\nA2,berta\n")
    assert patients(store) == {"P01-preop": "P01", "A1": "anna", "A2": "berta"}
    assert store.catalog.doubtful_patients() == []
    assert patients(open_store()) == patients(store)


def test_a_patient_in_the_split_keeps_his_part_and_lines_that_cannot_be_followed_are_told(open_store):
    store = open_store()
    store.labels.split.assign(["P01"])
    store = open_store("P01-preop,somebody\nA1,anna\nA9,carla\n")
    assert patients(store) == {"P01-preop": "P01", "A1": "anna", "A2": "A"}
    assert store.labels.split.of("P01") == TRAIN
    first, second = (problem["message"] for problem in store.catalog.problems())
    assert "line 1: P01-preop stays with the patient P01, who is already in the train set" in first
    assert "line 3: there is no case 'A9'" in second


def test_a_file_that_became_unreadable_is_a_problem_and_the_cases_stay(open_store):
    store = open_store("A1,anna,1\n")
    assert set(patients(store)) == {"P01-preop", "A1", "A2"}
    (problem,) = store.catalog.problems()
    assert "line 1: a line must be case,patient" in problem["message"]
