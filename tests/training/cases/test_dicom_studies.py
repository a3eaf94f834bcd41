"""DICOM studies as cases."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.training.cases.trees import cases as image_cases
from tests.training.dicom.made_series import (
    Study,
    empty_instance,
    made_multi_frame,
    made_series,
    made_study,
    voxels,
    write,
    write_study,
)
from training.cases.case import case_from_roles
from training.cases.dicom_studies import case_from_dicom
from training.cases.find import case_from_folder, find_cases
from training.errors import InputError
from training.images.grid import Volume


def study_in(folder: Path, patient_id: str = "P-1", **known: str) -> Path:
    return write_study(made_study(Study(patient_id=patient_id, **known)), folder)


def test_a_study_is_a_case_that_is_read_like_any_other(tmp_path: Path) -> None:
    case = case_from_folder(study_in(tmp_path / "anna"))
    volumes = case.read_all()
    assert (case.id, case.patient, list(volumes)) == ("anna", "P-1", ["t1", "t1ce", "t2", "flair"])
    for place, (role, volume) in enumerate(volumes.items()):
        np.testing.assert_array_equal(volume.data, voxels(seed=place).T)
        assert case.sources[role].read_grid() == volume.grid
    case.read_headers()
    assert case.notes[0].startswith("T1 (t1): Series 1 'AX T1 PRE': its name")


def test_a_label_on_the_voxels_of_a_series_lies_on_exactly_its_grid(tmp_path: Path) -> None:
    case = case_from_folder(study_in(tmp_path))
    grid = case.read("t1ce").grid
    turned = dataclasses.replace(grid, affine=grid.affine @ np.diag([-1.0, 1, 1, 1]))
    turned.affine[:3, 3] += 11 * grid.affine[:3, 0]
    label = Volume(np.zeros(grid.shape, np.uint8), turned)
    label.data[0, 0, 0] = 3
    moved = case.on_own_grid(label)
    assert moved.grid == grid
    assert moved.data[11, 0, 0] == 3


def test_the_fingerprint_depends_on_each_instance(tmp_path: Path) -> None:
    case = case_from_folder(study_in(tmp_path))
    before = case.fingerprint()
    assert case.fingerprint() == before
    path = case.sources["flair"].instances[-1]
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert case.fingerprint() != before


def test_an_error_names_the_modality_and_the_file(tmp_path: Path) -> None:
    case = case_from_folder(study_in(tmp_path))
    path = case.sources["t2"].instances[2]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"T2 \(t2\): .*003\.dcm: it is cut off") as caught:
        case.read("t2")
    assert caught.value.field == "t2"


def test_volumes_of_one_multi_frame_file_are_told_apart(tmp_path: Path) -> None:
    study = made_study()
    study["t2"] = [made_multi_frame("t2", voxels(seed=2), study=Study(), number=3)]
    study["t2"][0].StudyInstanceUID = study["t1"][0].StudyInstanceUID
    case = case_from_folder(write_study(study, tmp_path))
    np.testing.assert_array_equal(case.read("t2").data, voxels(seed=2).T)


def test_each_study_in_a_tree_is_a_case(tmp_path: Path) -> None:
    study_in(tmp_path / "anna" / "2019-03-01" / "DICOM" / "ST000001", "4711")
    study_in(tmp_path / "anna" / "2020-03-01", "4711")
    study_in(tmp_path / "bert", "4712")
    found, problems = find_cases(tmp_path)
    assert problems == []
    assert {case.id: case.patient for case in found} == {
        "4711": "4711",
        "4711-2020-03-01": "4711",
        "bert": "4712",
    }


def test_studies_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    for patient, date in (("A1", "20240101"), ("A1", "20240301"), ("B2", "20240101")):
        series = made_study(Study(patient_id=patient, date=date))
        write([one for instances in series.values() for one in instances], tmp_path / "x", f"{patient}{date}{{:03d}}")
    found, _ = find_cases(tmp_path)
    assert {case.id: case.patient for case in found} == {"A1-20240101": "A1", "A1-20240301": "A1", "B2": "B2"}
    with pytest.raises(InputError, match="holds 3 DICOM studies: A1-20240101, A1-20240301, B2"):
        case_from_dicom(tmp_path)


def test_no_name_of_a_person_becomes_an_id(tmp_path: Path) -> None:
    study_in(tmp_path / "Doe_Jane_4711", "4711", patient_name="Doe^Jane")
    study_in(tmp_path / "b" / "1.2.840.1", "Roe^Rita", patient_name="Roe^Rita")
    found, _ = find_cases(tmp_path)
    names = " ".join(text for case in found for text in (case.id, case.patient, case.name)).lower()
    assert not any(part in names for part in ("doe", "jane", "roe", "rita"))
    assert {case.patient for case in found} >= {"4711"}


def test_patients_without_an_id_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for name in ("anna", "bert"):
        study_in(tmp_path / name, "ANONYMOUS")
    assert {case.patient for case in find_cases(tmp_path)[0]} == {"anna", "bert"}


def test_a_study_that_cannot_be_used_is_a_problem(tmp_path: Path) -> None:
    study_in(tmp_path / "anna")
    write(made_series("t2", study=Study(patient_id="P-2")), tmp_path / "bert")
    found, problems = find_cases(tmp_path)
    assert [case.id for case in found] == ["anna"]
    assert [(problem.path.name, problem.field, problem.lost) for problem in problems] == [("bert", "t1", True)]


def test_a_study_without_mr_images_costs_no_case(tmp_path: Path) -> None:
    study_in(tmp_path / "anna")
    plan = empty_instance("1.2.840.10008.5.1.4.1.1.481.3")
    plan.SeriesInstanceUID, plan.StudyInstanceUID, plan.Modality = "1.2", "1.3", "RTSTRUCT"
    write([plan], tmp_path / "contours")
    found, problems = find_cases(tmp_path)
    assert [case.id for case in found] == ["anna"]
    assert [problem.lost for problem in problems] == [False]


def test_dicom_beside_the_volumes_of_a_case_is_told_and_not_used(tmp_path: Path) -> None:
    image_cases(tmp_path, ["anna"])
    study_in(tmp_path / "anna" / "dicom")
    study_in(tmp_path / "bert")
    found, problems = find_cases(tmp_path)
    assert [case.id for case in found] == ["anna", "bert"]
    assert found[0].sources["t1"].path.name == "t1.nii.gz"
    assert {problem.lost for problem in problems} == {False}


def test_the_folder_of_a_series_is_given_for_a_modality(tmp_path: Path) -> None:
    study_in(tmp_path)
    case = case_from_roles({role: tmp_path / role for role in ("t1", "t1ce", "t2", "flair")})
    np.testing.assert_array_equal(case.read("flair").data, voxels(seed=3).T)


def test_series_may_be_named_by_number(tmp_path: Path) -> None:
    study = made_study()
    for instance in study["t2"]:
        del instance.SeriesDescription
        del instance.EchoTime
    folder = write_study(study, tmp_path)
    with pytest.raises(InputError, match="Missing: T2") as caught:
        case_from_dicom(folder)
    assert caught.value.field == "t2"
    case = case_from_dicom(folder, roles={"t2": 3}, id="mine")
    assert (case.id, case.sources["t2"].path.parent.name) == ("mine", "t2")
