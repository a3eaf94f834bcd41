import shutil

import nibabel
import numpy as np
import pytest

from tests import synthetic
from training.cases.find import common_name, find_cases
from training.errors import InputError

SMALL = synthetic.brats_grid((16, 16, 16))


def write(folder, name, **options):
    return synthetic.write_case(folder, name, grids=SMALL, **options)


def rename(folder, **names):
    for old, new in names.items():
        for file in folder.glob(f"*_{old}.nii.gz"):
            file.rename(file.with_name(file.name.replace(f"_{old}.", f"{new}.")))


def test_cases_are_found_at_any_depth_sorted_by_id(tmp_path):
    write(tmp_path / "HGG", "Brats18_B_1")
    write(tmp_path / "LGG" / "deep", "Brats18_A_1")
    cases, problems = find_cases(tmp_path)
    assert [case.id for case in cases] == ["Brats18_A_1", "Brats18_B_1"]
    assert problems == []
    assert all(case.label is not None for case in cases)


def test_the_naming_of_2023_is_found(tmp_path):
    folder = write(tmp_path, "BraTS-GLI-00001-000")
    rename(folder, t1="-t1n", t1ce="-t1c", t2="-t2w", flair="-t2f", seg="-seg")
    (case,), problems = find_cases(tmp_path)
    assert (case.id, case.patient) == ("BraTS-GLI-00001-000", "BraTS-GLI-00001")
    assert case.label is not None
    assert problems == []


def test_uncompressed_files_and_a_misnamed_label_are_found(tmp_path):
    folder = write(tmp_path, "BraTS20_Training_355", ending=".nii")
    (folder / "BraTS20_Training_355_seg.nii").rename(folder / "W39_1998.09.19_Segm.nii")  # so it is in BraTS 2020
    (case,), _ = find_cases(tmp_path)
    assert case.id == "BraTS20_Training_355"
    assert case.label is not None


def test_plain_file_names_take_the_folders_name(tmp_path):
    folder = write(tmp_path, "patient.7")
    for file in folder.iterdir():
        file.rename(folder / file.name.replace("patient.7_", ""))
    (case,), _ = find_cases(tmp_path)
    assert case.id == "patient-7"


def test_cases_side_by_side_in_one_folder_are_told_apart(tmp_path):
    for name in ("A", "B"):
        folder = write(tmp_path, name)
        for file in folder.iterdir():
            file.rename(tmp_path / file.name)
    (tmp_path / "C_t1.nii.gz").write_bytes(b"x")
    cases, problems = find_cases(tmp_path)
    assert [(case.id, case.label and case.label.name) for case in cases] == [
        ("A", "A_seg.nii.gz"),
        ("B", "B_seg.nii.gz"),
    ]
    assert len(problems) == 1
    assert "Missing" in problems[0].message


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    write(tmp_path / ".trash", "old")
    folder = write(tmp_path, "new")
    (folder / "._new_t1.nii.gz").write_bytes(b"x")
    cases, problems = find_cases(tmp_path)
    assert [case.id for case in cases] == ["new"]
    assert problems == []


def test_broken_folders_are_reported_and_do_not_hide_the_others(tmp_path):
    write(tmp_path, "good")
    (write(tmp_path, "gap") / "gap_t2.nii.gz").unlink()
    twice = write(tmp_path, "twice")
    shutil.copy(twice / "twice_t1.nii.gz", twice / "copy_of_t1.nii.gz")
    cases, problems = find_cases(tmp_path)
    assert [case.id for case in cases] == ["good"]
    messages = {problem.path.name: problem.message for problem in problems}
    assert "Missing: T2" in messages["gap"]
    assert "copy_of_t1.nii.gz and twice_t1.nii.gz" in messages["twice"]


def test_several_labels_are_reported_and_the_case_is_kept_without_one(tmp_path):
    folder = write(tmp_path, "case")
    shutil.copy(folder / "case_seg.nii.gz", folder / "other_seg.nii.gz")
    (case,), (problem,) = find_cases(tmp_path)
    assert case.label is None
    assert "case_seg.nii.gz, other_seg.nii.gz" in problem.message


def test_the_decathlons_folders_are_found_with_their_labels(tmp_path):
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    for name in ("BRATS_001", "BRATS_002"):
        data = np.zeros((8, 8, 8, 4), np.int16)
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "imagesTr" / f"{name}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(data[..., 0], np.eye(4)), tmp_path / "labelsTr" / f"{name}.nii.gz")
    cases, problems = find_cases(tmp_path)
    assert [case.id for case in cases] == ["BRATS_001", "BRATS_002"]
    assert cases[0].label == tmp_path / "labelsTr" / "BRATS_001.nii.gz"
    assert cases[0].sources["flair"].channel == 0
    assert problems == []


def test_a_junk_file_without_a_modality_is_reported(tmp_path):
    (tmp_path / "scan.nii.gz").write_text("no image")
    cases, problems = find_cases(tmp_path)
    assert cases == []
    assert "scan.nii.gz is not a NIfTI file" in problems[0].message


def test_one_name_in_two_folders_gives_two_ids_that_do_not_depend_on_order(tmp_path):
    write(tmp_path / "siteA", "001")
    write(tmp_path / "siteB", "001")
    cases, _ = find_cases(tmp_path)
    assert [case.id for case in cases] == ["siteA-001", "siteB-001"]


def test_links_that_go_in_circles_end(tmp_path):
    folder = write(tmp_path, "case")
    (folder / "loop").symlink_to(tmp_path, target_is_directory=True)
    cases, _ = find_cases(tmp_path)
    assert [case.id for case in cases] == ["case"]


def test_a_root_that_is_no_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        find_cases(tmp_path / "absent")


def test_the_common_name_is_what_is_not_the_modality(tmp_path):
    assert common_name(tmp_path / "BraTS-GLI-00001-000-t2f.nii.gz") == "BraTS-GLI-00001-000"
    assert common_name(tmp_path / "flair.nii") == ""


def test_the_real_cases_are_found(real_cases):
    cases, problems = find_cases(real_cases)
    assert problems == []
    patients = {case.id: case.patient for case in cases}
    assert patients["TCGA-FG-6692_native"] == patients["TCGA-FG-6692"] == "TCGA-FG-6692"
    labeled = {case.id for case in cases if case.label}
    assert labeled == {path.parent.name for path in real_cases.rglob("*seg.nii.gz")} > {"TCGA-FG-6692", "TCGA-DU-7294"}


def test_cases_short_of_a_modality_are_found_if_allowed_and_reported_if_not(studies):
    (studies / "BraTS20_Training_002" / "BraTS20_Training_002_t2.nii.gz").unlink()
    cases, problems = find_cases(studies)
    assert [case.id for case in cases] == ["BraTS20_Training_001"]
    assert len(problems) == 1
    cases, problems = find_cases(studies, allow_missing=True)
    assert {case.id: case.missing for case in cases} == {"BraTS20_Training_001": (), "BraTS20_Training_002": ("t2",)}
    assert problems == []
