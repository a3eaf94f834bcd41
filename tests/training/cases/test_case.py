import shutil

import nibabel
import nrrd
import numpy as np
import pytest

from tests import synthetic
from training.cases.case import Case, Source, case_from_4d, case_from_files, case_from_roles
from training.cases.find import case_from_folder
from training.errors import InputError
from training.modalities import ROLES

NAME = "BraTS20_Training_001"
SMALL = synthetic.brats_grid((16, 16, 16))


def write_4d(path, order=("flair", "t1", "t1ce", "t2")):
    data = np.stack([synthetic.head(SMALL, role).data for role in order], axis=-1)
    nibabel.save(nibabel.Nifti1Image(data, SMALL.affine), path)
    return path


def files_by_role(folder):
    return {role: folder / f"{NAME}_{role}.nii.gz" for role in ROLES}


def test_a_brats_folder_is_a_case_with_volumes_and_an_internal_label(written_studies):
    case = case_from_folder(written_studies / NAME)
    assert case.id == case.patient == NAME
    assert tuple(case.sources) == ROLES
    volumes = case.read_all()
    for role in ROLES:
        assert np.array_equal(volumes[role].data, synthetic.head(synthetic.brats_grid(), role).data)
        assert volumes[role].data.dtype == np.float32
    label = case.read_label()
    assert label.data.dtype == np.uint8
    assert np.array_equal(label.data, synthetic.truth(synthetic.brats_grid()).data)


def test_reading_an_absent_label_is_an_error(tmp_path):
    with pytest.raises(InputError, match="has no label"):
        Case("x", {role: Source(tmp_path / role) for role in ROLES}).read_label()


def test_hidden_files_and_brain_masks_are_not_modalities(case_folder):
    (case_folder / f"._{NAME}_t1.nii.gz").write_bytes(b"x")
    (case_folder / f"{NAME}_t1_brain_mask.nii.gz").write_bytes(b"x")
    assert case_from_folder(case_folder).sources["t1"].path.name == f"{NAME}_t1.nii.gz"


@pytest.mark.parametrize(
    ("copied", "message", "field"),
    [("t1", rf"{NAME}_t1\.nii\.gz and other_t1\.nii\.gz", "t1"), ("seg", r"other_seg\.nii\.gz", "label")],
)
def test_two_files_for_one_role_are_both_named_in_the_error(case_folder, copied, message, field):
    shutil.copy(case_folder / f"{NAME}_{copied}.nii.gz", case_folder / f"other_{copied}.nii.gz")
    with pytest.raises(InputError, match=message) as caught:
        case_from_folder(case_folder)
    assert caught.value.field == field


def test_an_unreadable_file_is_named_with_its_modality(case_folder):
    (case_folder / f"{NAME}_t2.nii.gz").write_text("no image")
    with pytest.raises(InputError, match=r"T2 \(t2\).*_t2\.nii\.gz is not a NIfTI file") as caught:
        case_from_folder(case_folder).read_all()
    assert caught.value.field == "t2"


def test_files_are_assigned_by_name_or_by_the_roles_given(written_studies):
    paths = files_by_role(written_studies / NAME)
    assert tuple(case_from_files(reversed(paths.values())).sources) == ROLES
    paths["t1"], paths["t2"] = paths["t2"], paths["t1"]
    assert case_from_roles(paths).sources["t1"].path.name.endswith("_t2.nii.gz")


def test_unknown_missing_and_repeated_roles_are_rejected(written_studies):
    paths = files_by_role(written_studies / NAME)
    with pytest.raises(InputError, match="no modality 'pd'"):
        case_from_roles({**paths, "pd": paths["t1"]})
    with pytest.raises(InputError, match=r"given for both t1 and t2"):
        case_from_roles({**paths, "t2": paths["t1"]})
    del paths["t1ce"]
    with pytest.raises(InputError, match=r"Missing: T1 with contrast"):
        case_from_roles(paths)


@pytest.mark.parametrize("order", [None, ROLES])
def test_a_4d_file_is_read_in_the_decathlon_order_unless_another_is_given(tmp_path, order):
    path = write_4d(tmp_path / "BRATS_001.nii.gz", order or ("flair", "t1", "t1ce", "t2"))
    case = case_from_4d(path, order)
    assert case.id == "BRATS_001"
    volumes = case.read_all()
    for role in ROLES:
        assert np.array_equal(volumes[role].data, synthetic.head(SMALL, role).data)
        assert np.array_equal(case.read(role).data, synthetic.head(SMALL, role).data)


def test_a_4d_nrrd_file_is_a_case(tmp_path):
    data = np.stack([synthetic.head(SMALL, role).data for role in ROLES])
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ SMALL.affine
    directions = np.insert(affine[:3, :3].T, 0, np.nan, axis=0)
    header = {"space": "left-posterior-superior", "space directions": directions, "space origin": affine[:3, 3]}
    nrrd.write(str(tmp_path / "four.nrrd"), data, {**header, "kinds": ["list", "domain", "domain", "domain"]})
    volumes = case_from_4d(tmp_path / "four.nrrd", ROLES).read_all()
    assert np.array_equal(volumes["flair"].data, synthetic.head(SMALL, "flair").data)
    assert volumes["flair"].grid.matches(SMALL)


def test_a_folder_with_one_4d_file_is_a_case(tmp_path):
    write_4d(tmp_path / "upload.nii.gz")
    assert case_from_folder(tmp_path).sources["flair"] == Source(tmp_path / "upload.nii.gz", 0)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (("t1", "t1ce", "t2"), "holds 4 volumes, but the order names 3"),
        (("t1", "t1", "t2", "flair"), "must name t1 once"),
    ],
)
def test_an_order_that_does_not_match_the_file_is_rejected(tmp_path, order, message):
    with pytest.raises(InputError, match=message):
        case_from_4d(write_4d(tmp_path / "four.nii"), order)


def test_the_fingerprint_depends_on_the_bytes_and_not_on_the_path(case_folder, written_studies):
    original, copy = case_from_folder(written_studies / NAME), case_from_folder(case_folder)
    assert copy.fingerprint() == original.fingerprint()
    seg = case_folder / f"{NAME}_seg.nii.gz"
    seg.write_bytes(seg.read_bytes() + b"\0")
    assert copy.fingerprint() != original.fingerprint()


def test_a_modality_may_be_missing_only_if_allowed(case_folder):
    whole = case_from_folder(case_folder, allow_missing=True)
    assert whole.missing == ()
    assert whole.fingerprint() == case_from_folder(case_folder).fingerprint()
    (case_folder / f"{NAME}_t2.nii.gz").unlink()
    with pytest.raises(InputError, match=r"Missing: T2 \(t2\)") as caught:
        case_from_folder(case_folder)
    assert caught.value.field == "t2"
    case = case_from_folder(case_folder, allow_missing=True)
    assert case.missing == ("t2",)
    assert tuple(case.sources) == tuple(case.read_all()) == ("t1", "t1ce", "flair")
    with pytest.raises(InputError, match=rf"{NAME} has no T2 \(t2\)") as caught:
        case.read("t2")
    assert caught.value.field == "t2"


def test_a_case_without_any_modality_is_rejected_even_if_some_may_be_missing():
    for make in (lambda: Case("x", {}, allow_missing=True), lambda: case_from_files(["notes.nii"], allow_missing=True)):
        with pytest.raises(InputError, match="Missing: T1"):
            make()


def test_a_4d_file_may_lack_modalities_if_allowed(tmp_path):
    order = ("t1ce", "flair", "t1")
    path = write_4d(tmp_path / "three.nii.gz", order)
    case = case_from_4d(path, order, allow_missing=True)
    assert case.sources == {"t1": Source(path, 2), "t1ce": Source(path, 0), "flair": Source(path, 1)}
    assert tuple(case.read_all()) == ("t1", "t1ce", "flair")
    with pytest.raises(InputError, match="must name t2 once"):
        case_from_4d(path, order)
