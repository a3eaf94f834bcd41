import shutil
from pathlib import Path

import nibabel
import numpy as np

from tests import synthetic
from tests.training import rejected
from training.cases.files import common_name
from training.cases.find import find_cases
from training.modalities import ROLES

SMALL = synthetic.brats_grid((16, 16, 16))


def write(folder, name, **options):
    return synthetic.write_case(folder, name, grids=SMALL, **options)


def ids(found):
    """The ids of the cases, where no problem was reported."""
    cases, problems = found
    assert problems == []
    return [case.id for case in cases]


def test_cases_at_any_depth_and_side_by_side_are_found_with_distinct_ids(tmp_path):
    write(tmp_path / "HGG", "Brats18_B_1")
    write(tmp_path / "LGG" / "deep", "Brats18_A_1")
    write(tmp_path / ".trash", "old")
    (tmp_path / "HGG" / "Brats18_B_1" / "._Brats18_B_1_t1.nii.gz").write_bytes(b"x")
    (tmp_path / "HGG" / "loop").symlink_to(tmp_path, target_is_directory=True)
    for site in ("siteA", "siteB"):
        write(tmp_path / site, "001")
    assert ids(find_cases(tmp_path)) == ["Brats18_A_1", "Brats18_B_1", "siteA-001", "siteB-001"]
    assert all(case.label is not None for case in find_cases(tmp_path)[0])
    for name in ("A", "B"):
        for file in write(tmp_path / "flat", name).iterdir():
            file.rename(tmp_path / "flat" / file.name)
    (tmp_path / "flat" / "C_t1.nii.gz").write_bytes(b"x")
    cases, (problem,) = find_cases(tmp_path / "flat")
    assert {case.id: case.label and case.label.name for case in cases} == {"A": "A_seg.nii.gz", "B": "B_seg.nii.gz"}
    assert "Missing" in problem.message
    with rejected("is not a folder"):
        find_cases(tmp_path / "absent")
    assert common_name(tmp_path / "BraTS-GLI-00001-000-t2f.nii.gz") == "BraTS-GLI-00001-000"
    assert common_name(tmp_path / "flair.nii") == ""


def test_unusable_folders_are_reported_and_do_not_hide_the_others(tmp_path):
    write(tmp_path, "good")
    (write(tmp_path, "gap") / "gap_t2.nii.gz").unlink()
    twice = write(tmp_path, "twice")
    shutil.copy(twice / "twice_t1.nii.gz", twice / "copy_of_t1.nii.gz")
    (tmp_path / "scan.nii.gz").write_text("no image")
    several = write(tmp_path, "several")
    shutil.copy(several / "several_seg.nii.gz", several / "other_seg.nii.gz")
    cases, problems = find_cases(tmp_path)
    assert {case.id: case.label is None for case in cases} == {"good": False, "several": True}
    messages = {problem.path.name: problem.message for problem in problems}
    assert "Missing: T2" in messages["gap"]
    assert "copy_of_t1.nii.gz and twice_t1.nii.gz" in messages["twice"]
    assert "scan.nii.gz is not a NIfTI file" in messages["scan.nii.gz"]
    assert "other_seg.nii.gz, several_seg.nii.gz" in messages["several"]
    cases, _ = find_cases(tmp_path, allow_missing=True)
    assert {case.id: case.missing for case in cases} == {"gap": ("t2",), "good": (), "several": ()}


def test_names_of_brats_2023_and_2020_plain_names_and_the_decathlon_layout_are_recognized(tmp_path):
    folder = write(tmp_path, "BraTS-GLI-00001-000")
    for old, new in {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f", "seg": "seg"}.items():
        (folder / f"{folder.name}_{old}.nii.gz").rename(folder / f"{folder.name}-{new}.nii.gz")
    plain = write(tmp_path, "patient.7", ending=".nii")
    for file in plain.iterdir():
        file.rename(plain / file.name.replace("patient.7_", ""))
    (plain / "seg.nii").rename(plain / "W39_1998.09.19_Segm.nii")  # as in BraTS 2020
    assert ids(find_cases(tmp_path)) == ["BraTS-GLI-00001-000", "patient-7"]
    brats, plain_case = find_cases(tmp_path)[0]
    assert (brats.patient, plain_case.patient) == ("BraTS-GLI-00001", "patient-7")
    assert None not in (brats.label, plain_case.label)
    root = tmp_path / "decathlon"
    for name in ("BRATS_001", "BRATS_002"):
        for folder, channels in (("imagesTr", (4,)), ("labelsTr", ())):
            (root / folder).mkdir(parents=True, exist_ok=True)
            image = nibabel.Nifti1Image(np.zeros((8, 8, 8, *channels), np.int16), np.eye(4))
            nibabel.save(image, root / folder / f"{name}.nii.gz")
    assert ids(find_cases(root)) == ["BRATS_001", "BRATS_002"]
    case = find_cases(root)[0][0]
    assert (case.label, case.sources["flair"].channel) == (root / "labelsTr" / "BRATS_001.nii.gz", 0)


def test_the_real_cases_are_found(real_cases):
    cases, problems = find_cases(real_cases)
    # a DICOM study of two modalities
    assert [(problem.path.name, problem.field) for problem in problems] == [("ReMIND-022_dicom", "t1")]
    patients = {case.id: case.patient for case in cases}
    assert patients["TCGA-FG-6692_native"] == patients["TCGA-FG-6692"] == "TCGA-FG-6692"
    labeled = {case.id for case in cases if case.label}
    assert labeled == {path.parent.name for path in real_cases.rglob("*seg.nii.gz")} > {"TCGA-FG-6692", "TCGA-DU-7294"}


def test_links_out_of_the_folder_are_reported_instead_of_followed_on_request(tmp_path: Path) -> None:
    linked, private = tmp_path / "studies", tmp_path / "elsewhere" / "private"
    for folder in (private, linked / "own", linked / "files"):
        folder.mkdir(parents=True)
    image = nibabel.Nifti1Image(np.arange(512, dtype=np.int16).reshape(8, 8, 8), np.eye(4))
    for role in ROLES:
        nibabel.save(image, private / f"{role}.nii")
        nibabel.save(image, linked / "own" / f"{role}.nii")
        (linked / "files" / f"{role}.nii").symlink_to(private / f"{role}.nii")
    (linked / "folder").symlink_to(private, target_is_directory=True)
    (linked / "inside").symlink_to(linked / "own", target_is_directory=True)
    cases, problems = find_cases(linked, follow_external_links=False)
    assert [case.id for case in cases] == ["own"]
    assert {problem.path.name for problem in problems} == {"folder", *(f"{role}.nii" for role in ROLES)}
    assert all("follow_links" in problem.message for problem in problems)
    assert not any("elsewhere" in problem.message for problem in problems)
    assert ids(find_cases(linked)) == ["files", "own", "private"]
    (linked.parent / "link").symlink_to(linked, target_is_directory=True)
    assert [case.id for case in find_cases(linked.parent / "link", follow_external_links=False)[0]] == ["own"]
