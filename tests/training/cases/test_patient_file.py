from dataclasses import replace

import pytest

from tests.training import rejected
from training.cases.case import Case, Source
from training.cases.patient_file import map_patients
from training.modalities import ROLES


@pytest.fixture
def cases(tmp_path):
    sources = {role: Source(tmp_path / f"{role}.nii") for role in ROLES}
    one = Case("A1", sources, patient="A")
    return [one, replace(one, id="A2"), replace(one, id="Patient-001-week-012", patient="Patient-001")]


@pytest.mark.parametrize(
    "text",
    [
        "A1,anna\nA2,bob\n",
        "case,patient\nA1,anna\nA2,bob\n",
        "patient;age;Case\r\nanna;40;A1\r\nbob;50;A2\r\n",
        "\ufeffcase\tpatient\n\nA1\tanna\n A2 \tbob\n",
        '"A1","anna"\n"A2","bob"\n',
    ],
)
def test_cases_get_the_patients_of_the_file_and_others_keep_theirs(cases, tmp_path, text):
    file = tmp_path / "patients.csv"
    file.write_bytes(text.encode())
    assert [case.patient for case in map_patients(cases, file)] == ["anna", "bob", "Patient-001"]


def test_a_case_may_be_named_by_its_path(cases, tmp_path):
    (tmp_path / "p.csv").write_text("Patient-001/week-012,carla\n")
    assert map_patients(cases, tmp_path / "p.csv")[2].patient == "carla"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,patient\nA1,anna\nA9,bob\n", r"line 3: there is no case 'A9'"),
        ("A1,anna\nA2,bob\nA1,anna\n", r"line 3: the case A1 is already in line 1"),
        ("A1,anna\nA2\n", r"line 2: a line must be case,patient; it is 'A2'"),
        ("A1,anna,50\n", r"line 1: a line must be case,patient"),
        ("A1,\n", r"line 1: a line must be"),
        ("case,patient\n", r"names no case"),
        ("", r"names no case"),
        ("A1,m\xfcller\n", r"not a text file in UTF-8"),
    ],
)
def test_a_line_that_cannot_be_followed_is_refused_by_its_number(cases, tmp_path, text, message):
    file = tmp_path / "patients.csv"
    file.write_bytes(text.encode("latin-1"))
    with rejected(message, "patients"):
        map_patients(cases, file)
    with rejected("cannot be read", "patients"):
        map_patients(cases, tmp_path / "absent.csv")
