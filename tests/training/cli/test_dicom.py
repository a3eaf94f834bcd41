"""DICOM on the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training.dicom.made_series import made_study, write_study
from training.cli.cases import collect_cases
from training.cli.predict import _requested_cases
from training.errors import InputError


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(made_study(), tmp_path / "anna")


def test_a_dicom_folder_is_a_case_and_which_series_is_which_is_told(study: Path, capsys) -> None:
    (case,) = collect_cases([study]).cases
    assert case.id == "anna"
    assert "anna: T1 with contrast (t1ce): Series 2 'AX T1 POST': its name" in capsys.readouterr().err


def test_a_zip_of_a_study_is_a_case(study: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "bert"), "zip", study)
    (case,) = collect_cases([Path(archive)]).cases
    assert (case.id, case.patient) == ("bert", "P-0815")
    assert case.read("t2").data.shape == (12, 10, 8)


def test_the_number_of_a_series_says_which_modality_it_is(study: Path) -> None:
    chosen = _requested_cases([study], {"t1ce": Path("1"), "t1": Path("2")}, None, False)
    assert chosen.cases[0].sources["t1ce"].path.parent.name == "t1"
    with pytest.raises(InputError, match="There is no series 77 for T2"):
        _requested_cases([study], {"t2": Path("77")}, None, False)


def test_folders_of_series_are_volumes(study: Path) -> None:
    (case,) = _requested_cases(None, {role: study / role for role in ("t1", "t1ce", "t2", "flair")}, None, False).cases
    assert len(case.sources["t2"].instances) == 8
    with pytest.raises(InputError, match="Give either CASES or the four volumes"):
        _requested_cases([study], {"t1": study / "t1"}, None, False)
