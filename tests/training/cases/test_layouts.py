import json

import nibabel
import numpy as np
import pytest

from tests.training.cases import trees
from training.cases.files import id_of_files, is_label, is_mask, set_name
from training.cases.find import case_from_folder, find_cases
from training.modalities import ROLES

NUMBERED = [f"imagesTr/BraTS2021_0000{case}_000{channel}.nii.gz" for case in (0, 2) for channel in range(4)]
NUMBERED_LABELS = [f"labelsTr/BraTS2021_0000{case}.nii.gz" for case in (0, 2)]
CHANNELS = {"0": "T1", "1": "T1ce", "2": "T2", "3": "Flair"}


def numbered(root):
    for file in (*NUMBERED, *NUMBERED_LABELS):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), root / file)
    return root


def found(root, **options):
    """The files of each case by role, below the root; and the messages of the problems."""
    cases, problems = find_cases(root, **options)
    files = {
        case.id: {role: str(source.path.relative_to(root)) for role, source in case.sources.items()} for case in cases
    }
    labels = {case.id: case.label and str(case.label.relative_to(root)) for case in cases}
    return files, labels, [problem.message for problem in problems]


def test_brats_2015_is_one_case_per_patient_folder_with_its_label(tmp_path):
    folder = "HGG/brats_2013_pat0001_1/VSD.Brain.XX.O.MR_{0}/VSD.Brain.XX.O.MR_{0}.mha"
    names = dict(zip(ROLES, ("T1.54513", "T1c.54514", "T2.54515", "Flair.54512"), strict=True))
    label = "HGG/brats_2013_pat0001_1/VSD.Brain_3more.XX.O.OT.54517/VSD.Brain_3more.XX.O.OT.54517.mha"
    trees.touch(tmp_path, label, *(folder.format(name) for name in names.values()))
    case = "brats_2013_pat0001_1"
    files = {role: folder.format(name) for role, name in names.items()}
    assert found(tmp_path) == ({case: files}, {case: label}, [])
    assert set(found(tmp_path / "HGG" / case)[0]) == {case}


def test_one_folder_per_modality_holds_one_case_or_one_file_of_each_case(tmp_path):
    per_case = [f"per_case/{role}/scan.nii.gz" for role in (*ROLES, "seg")]
    egd = [
        f"EGD-0001/{k}/NIFTI/{n}.nii.gz"
        for k, n in (("1_T1", "T1"), ("2_T1GD", "T1GD"), ("3_T2", "T2"), ("4_FLAIR", "FLAIR"))
    ]
    over_all = [f"all/{role}/{patient}.nii.gz" for role in (*ROLES, "seg") for patient in ("pat01", "pat02")]
    trees.touch(tmp_path, *per_case, *egd, "EGD-0001/SEGMENTATION/NIFTI/MASK.nii.gz", *over_all)
    series = dict(zip(ROLES, ("3_AX T1", "5_AX T1 GD", "7_AX T2", "9_AX FLAIR"), strict=True))
    trees.touch(tmp_path, *(f"anna/{name}/{name}.nii.gz" for name in series.values()))
    files, labels, problems = found(tmp_path)
    assert problems == []
    assert labels.pop("anna") is None
    assert files["anna"] == {role: f"anna/{name}/{name}.nii.gz" for role, name in series.items()}
    assert files["pat02"] == {role: f"all/{role}/pat02.nii.gz" for role in ROLES}
    assert files["EGD-0001"]["t1ce"] == "EGD-0001/2_T1GD/NIFTI/T1GD.nii.gz"
    assert labels == {
        "per_case": "per_case/seg/scan.nii.gz",
        "EGD-0001": "EGD-0001/SEGMENTATION/NIFTI/MASK.nii.gz",
        "pat01": "all/seg/pat01.nii.gz",
        "pat02": "all/seg/pat02.nii.gz",
    }


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["T1/anna", "T1ce/bob", "T2/carl", "flair/dora"], "may be of different patients"),
        (["T1_anna/x", "T1ce_bob/x", "T2_carl/x", "flair_dora/x"], "may be of different patients"),
        (["T1/001", "T1ce/002", "T2/003", "flair/004"], "may be of different patients"),
        (["T1/FLAIR", "T1ce/x", "T2/x", "flair/x"], "T1/FLAIR.nii.gz: the folder says T1, the file FLAIR"),
        (["T1/x", "T2/x", "flair/x"], "Missing: T1 with contrast (t1ce). Found: T1/x.nii.gz"),
        (["T1/a", "T1/b", "T1ce/a", "T2/a", "flair/c"], "Missing"),
    ],
)
def test_folders_of_modalities_that_do_not_fit_together_are_refused(tmp_path, files, message):
    trees.touch(tmp_path, *(f"case/{file}.nii.gz" for file in files))
    cases, _, problems = found(tmp_path)
    assert not cases
    assert message in " ".join(problems)


def test_numbered_channels_need_a_stated_order(tmp_path):
    numbered(tmp_path)
    cases, _, (problem,) = found(tmp_path)
    assert not cases
    for words in ("BraTS2021_00000_0003.nii.gz", "--order t1,t1ce,t2,flair", "channel_names"):
        assert words in problem
    for order in (ROLES, ("T1w", "t1Gd", "T2w", "FLAIR")):
        files, labels, problems = found(tmp_path, order=order)
        assert problems == []
        assert files["BraTS2021_00002"] == dict(zip(ROLES, NUMBERED[4:], strict=True))
        assert labels == dict(zip(("BraTS2021_00000", "BraTS2021_00002"), NUMBERED_LABELS, strict=True))
    swapped = found(tmp_path, order=("flair", "t1", "t1ce", "t2"))[0]
    assert swapped["BraTS2021_00000"]["flair"] == NUMBERED[0]


def test_a_dataset_json_states_the_order_and_one_that_lacks_a_modality_is_refused(tmp_path):
    numbered(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": CHANNELS}))
    assert found(tmp_path)[0]["BraTS2021_00000"]["t1ce"] == NUMBERED[1]
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {**CHANNELS, "3": "MRI"}}))
    cases, _, (problem,) = found(tmp_path)
    assert not cases
    assert "must name flair once; it is T1, T1ce, T2, MRI" in problem
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1", "1": "T2"}}))
    assert "There are 4 numbered channels, but the order names 2" in found(tmp_path)[2][0]


def test_the_order_of_a_4d_file_is_that_of_its_dataset_json_or_the_one_asked_for(tmp_path):
    (tmp_path / "imagesTr").mkdir()
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 4), np.int16), np.eye(4)), tmp_path / "imagesTr" / "a.nii.gz")
    (tmp_path / "dataset.json").write_text(
        json.dumps({"modality": {"0": "T1w", "1": "t1gd", "2": "T2w", "3": "FLAIR"}})
    )
    assert find_cases(tmp_path)[0][0].sources["flair"].channel == 3
    assert case_from_folder(tmp_path / "imagesTr").sources["flair"].channel == 3
    assert find_cases(tmp_path, order=("flair", "t1", "t1ce", "t2"))[0][0].sources["flair"].channel == 0


def test_series_of_a_scanner_in_one_folder_are_told_apart_by_patient(tmp_path):
    series = ("Ax_T1_FLAIR", "Ax_T1_FLAIR_POST_GAD", "Ax_T2_PROPELLER", "Ax_T2_FLAIR")
    trees.touch(tmp_path, *(f"{patient}_{one}.nii.gz" for patient in ("anna", "bob") for one in series))
    files, _, problems = found(tmp_path)
    assert problems == []
    assert files["bob"] == {role: f"bob_{name}.nii.gz" for role, name in zip(ROLES, series, strict=True)}


def test_images_that_were_not_used_are_listed(tmp_path):
    other = ["ADC", "SWI", "T2star", "T1_brain_mask", "brain_segmentation", "scout"]
    trees.cases(tmp_path, ["UCSF-PDGM-0004"], (*ROLES, *other, "T1_bias", "tumor_segmentation"))
    (case,), problems = find_cases(tmp_path)
    assert problems == []
    assert case.label is not None
    assert case.label.name == "tumor_segmentation.nii.gz"
    assert {path.name for path in case.unused} == {f"{name}.nii.gz" for name in (*other, "T1_bias")}
    assert case_from_folder(tmp_path / "UCSF-PDGM-0004").unused == case.unused
    (tmp_path / "UCSF-PDGM-0004" / "flair.nii.gz").unlink()
    cases, (problem,) = find_cases(tmp_path)
    assert not cases
    assert all(f"{name}.nii.gz" in problem.message for name in other if "mask" not in name and "brain" not in name)


def test_other_images_below_a_case_do_not_count_as_another_case(tmp_path):
    trees.cases(tmp_path, ["anna"])
    trees.touch(tmp_path, "anna/original/t1.nii.gz", "bob/original/t1.nii.gz")
    (case,), problems = find_cases(tmp_path)
    assert case.id == "anna"
    assert {problem.path.parent.name: problem.lost for problem in problems} == {"anna": False, "bob": True}


def test_labels_in_a_folder_of_their_own_are_found_by_name_and_others_are_told(tmp_path):
    images = [
        f"images_structural/UPENN-GBM-00002_11/UPENN-GBM-00002_11_{name}.nii.gz"
        for name in ("T1", "T1GD", "T2", "FLAIR")
    ]
    trees.touch(
        tmp_path, *images, "images_segm/UPENN-GBM-00002_11_segm.nii.gz", "images_segm/UPENN-GBM-00009_11_segm.nii.gz"
    )
    (case,), (problem,) = find_cases(tmp_path)
    assert case.label == tmp_path / "images_segm" / "UPENN-GBM-00002_11_segm.nii.gz"
    assert not problem.lost
    assert "images_segm/UPENN-GBM-00009_11_segm.nii.gz" in problem.message


def test_labels_masks_and_the_common_name_of_a_case_are_read_from_file_names():
    labels = (
        "seg.nii.gz; VSD.Brain_3more.XX.O.OT.54517.mha; a_tumorMask.nii.gz; lesion_mask.nii; tumor_segmentation.nii"
    )
    masks = "t1_brain_mask.nii.gz; mask.nii; UCSF_brain_parenchyma_segmentation.nii.gz; brain_seg.nii"
    assert all(is_label(name) and not is_mask(name) for name in labels.split("; "))
    assert all(is_mask(name) and not is_label(name) for name in masks.split("; "))
    assert not is_label("OT_t1.nii.gz")  # the initials of a patient
    names = ("anna_pre_op_T1_GD.nii", "Ax_T1_POST.nii", "BraTS20_Training_001_t1ce.nii.gz")
    assert [set_name(trees.Path(name)) for name in names] == ["anna_pre_op", "", "BraTS20_Training_001"]


def test_the_id_of_single_files_is_read_from_their_name_or_else_from_their_folder():
    ids = {
        "/data/anna/t1.nii.gz": "anna",
        "/data/anna/pre_op_T1.nii.gz": "anna-pre_op",
        "/data/anna/T1/scan_T1.nii.gz": "anna-scan",
        "/data/Patient-001/week-012/CT1.nii.gz": "Patient-001-week-012",
        "/data/x/BraTS20_Training_001_t1ce.nii.gz": "BraTS20_Training_001",
        "/data/sub-01/ses-02/anat/sub-01_ses-02_T1w.nii.gz": "sub-01_ses-02",
        "/t1.nii.gz": "case",
    }
    assert {file: id_of_files(file) for file in ids} == ids
