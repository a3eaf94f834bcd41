import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests import synthetic
from training.cases.find import common_name, find_cases
from training.errors import InputError
from training.modalities import ROLES

SMALL = synthetic.brats_grid((16, 16, 16))


def write(folder, name, **options):
    return synthetic.write_case(folder, name, grids=SMALL, **options)


def ids(cases):
    return [case.id for case in cases]


def test_cases_at_any_depth_are_found_and_sorted_by_id(tmp_path):
    write(tmp_path / "HGG", "Brats18_B_1")
    write(tmp_path / "LGG" / "deep", "Brats18_A_1")
    write(tmp_path / ".trash", "old")
    (tmp_path / "HGG" / "Brats18_B_1" / "._Brats18_B_1_t1.nii.gz").write_bytes(b"x")
    (tmp_path / "HGG" / "loop").symlink_to(tmp_path, target_is_directory=True)
    cases, problems = find_cases(tmp_path)
    assert ids(cases) == ["Brats18_A_1", "Brats18_B_1"]
    assert problems == []
    assert all(case.label is not None for case in cases)


def test_brats_2023_names_are_recognized(tmp_path):
    folder = write(tmp_path, "BraTS-GLI-00001-000")
    for old, new in {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f", "seg": "seg"}.items():
        file = folder / f"BraTS-GLI-00001-000_{old}.nii.gz"
        file.rename(folder / f"BraTS-GLI-00001-000-{new}.nii.gz")
    (case,), problems = find_cases(tmp_path)
    assert (case.id, case.patient) == ("BraTS-GLI-00001-000", "BraTS-GLI-00001")
    assert case.label is not None
    assert problems == []


def test_uncompressed_files_and_the_misnamed_label_of_brats_2020_are_found(tmp_path):
    folder = write(tmp_path, "BraTS20_Training_355", ending=".nii")
    (folder / "BraTS20_Training_355_seg.nii").rename(folder / "W39_1998.09.19_Segm.nii")
    (case,), _ = find_cases(tmp_path)
    assert case.id == "BraTS20_Training_355"
    assert case.label is not None


def test_a_case_with_plain_file_names_is_named_after_its_folder(tmp_path):
    folder = write(tmp_path, "patient.7")
    for file in folder.iterdir():
        file.rename(folder / file.name.replace("patient.7_", ""))
    assert ids(find_cases(tmp_path)[0]) == ["patient-7"]


def test_cases_side_by_side_in_one_folder_are_separated_by_their_names(tmp_path):
    for name in ("A", "B"):
        for file in write(tmp_path, name).iterdir():
            file.rename(tmp_path / file.name)
    (tmp_path / "C_t1.nii.gz").write_bytes(b"x")
    cases, (problem,) = find_cases(tmp_path)
    assert [(case.id, case.label and case.label.name) for case in cases] == [
        ("A", "A_seg.nii.gz"),
        ("B", "B_seg.nii.gz"),
    ]
    assert "Missing" in problem.message


def test_unusable_folders_are_reported_and_do_not_hide_the_others(tmp_path):
    write(tmp_path, "good")
    (write(tmp_path, "gap") / "gap_t2.nii.gz").unlink()
    twice = write(tmp_path, "twice")
    shutil.copy(twice / "twice_t1.nii.gz", twice / "copy_of_t1.nii.gz")
    (tmp_path / "scan.nii.gz").write_text("no image")
    cases, problems = find_cases(tmp_path)
    assert ids(cases) == ["good"]
    messages = {problem.path.name: problem.message for problem in problems}
    assert "Missing: T2" in messages["gap"]
    assert "copy_of_t1.nii.gz and twice_t1.nii.gz" in messages["twice"]
    assert "scan.nii.gz is not a NIfTI file" in messages["scan.nii.gz"]
    cases, _ = find_cases(tmp_path, allow_missing=True)
    assert {case.id: case.missing for case in cases} == {"gap": ("t2",), "good": ()}


def test_a_case_with_several_labels_is_kept_without_one_and_reported(tmp_path):
    folder = write(tmp_path, "case")
    shutil.copy(folder / "case_seg.nii.gz", folder / "other_seg.nii.gz")
    (case,), (problem,) = find_cases(tmp_path)
    assert case.label is None
    assert "case_seg.nii.gz, other_seg.nii.gz" in problem.message


def test_the_decathlon_layout_is_found_with_its_labels(tmp_path):
    for name in ("BRATS_001", "BRATS_002"):
        for folder, channels in (("imagesTr", (4,)), ("labelsTr", ())):
            (tmp_path / folder).mkdir(exist_ok=True)
            image = nibabel.Nifti1Image(np.zeros((8, 8, 8, *channels), np.int16), np.eye(4))
            nibabel.save(image, tmp_path / folder / f"{name}.nii.gz")
    cases, problems = find_cases(tmp_path)
    assert ids(cases) == ["BRATS_001", "BRATS_002"]
    assert cases[0].label == tmp_path / "labelsTr" / "BRATS_001.nii.gz"
    assert cases[0].sources["flair"].channel == 0
    assert problems == []


def test_one_name_in_two_folders_gives_two_ids_from_their_paths(tmp_path):
    write(tmp_path / "siteA", "001")
    write(tmp_path / "siteB", "001")
    assert ids(find_cases(tmp_path)[0]) == ["siteA-001", "siteB-001"]


def test_a_root_that_is_not_a_folder_is_rejected(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        find_cases(tmp_path / "absent")


def test_the_common_name_leaves_out_the_modality(tmp_path):
    assert common_name(tmp_path / "BraTS-GLI-00001-000-t2f.nii.gz") == "BraTS-GLI-00001-000"
    assert common_name(tmp_path / "flair.nii") == ""


def test_the_real_cases_are_found(real_cases):
    cases, problems = find_cases(real_cases)
    assert problems == []
    patients = {case.id: case.patient for case in cases}
    assert patients["TCGA-FG-6692_native"] == patients["TCGA-FG-6692"] == "TCGA-FG-6692"
    labeled = {case.id for case in cases if case.label}
    assert labeled == {path.parent.name for path in real_cases.rglob("*seg.nii.gz")} > {"TCGA-FG-6692", "TCGA-DU-7294"}


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A studies folder with one case of its own, and links to a case elsewhere and to that case's files."""
    studies, private = tmp_path / "studies", tmp_path / "elsewhere" / "private"
    for folder in (private, studies / "own", studies / "files"):
        folder.mkdir(parents=True)
    image = nibabel.Nifti1Image(np.arange(512, dtype=np.int16).reshape(8, 8, 8), np.eye(4))
    for role in ROLES:
        nibabel.save(image, private / f"{role}.nii")
        nibabel.save(image, studies / "own" / f"{role}.nii")
        (studies / "files" / f"{role}.nii").symlink_to(private / f"{role}.nii")
    (studies / "folder").symlink_to(private, target_is_directory=True)
    (studies / "inside").symlink_to(studies / "own", target_is_directory=True)
    return studies


def test_links_out_of_the_folder_are_reported_instead_of_followed_on_request(linked: Path) -> None:
    cases, problems = find_cases(linked, follow_external_links=False)
    assert ids(cases) == ["own"]
    assert {problem.path.name for problem in problems} == {"folder", *(f"{role}.nii" for role in ROLES)}
    assert all("follow_links" in problem.message for problem in problems)
    assert not any("elsewhere" in problem.message for problem in problems)
    cases, problems = find_cases(linked)
    assert ids(cases) == ["files", "own", "private"]
    assert problems == []


def test_the_folder_itself_may_be_a_link(linked: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(linked, target_is_directory=True)
    assert ids(find_cases(tmp_path / "link", follow_external_links=False)[0]) == ["own"]
