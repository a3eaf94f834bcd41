import shutil

import nibabel
import nrrd
import numpy as np
import pytest

from tests import synthetic
from tests.training import rejected
from training.cases.case import Case, Source, case_from_4d, case_from_files, case_from_roles
from training.cases.find import case_from_folder
from training.errors import InputError
from training.modalities import ROLES

NAME = "BraTS20_Training_001"
SMALL = synthetic.brats_grid((16, 16, 16))
HEADS = {role: synthetic.head(SMALL, role).data for role in ROLES}


def write_4d(path, order=("flair", "t1", "t1ce", "t2")):
    nibabel.save(nibabel.Nifti1Image(np.stack([HEADS[role] for role in order], axis=-1), SMALL.affine), path)
    return path


def test_a_brats_folder_is_a_case_with_volumes_and_an_internal_label(case_folder):
    for hidden in ("._{}_t1.nii.gz", "{}_t1_brain_mask.nii.gz"):  # no modalities
        (case_folder / hidden.format(NAME)).write_bytes(b"x")
    case = case_from_folder(case_folder)
    assert (case.id, case.patient, tuple(case.sources)) == (NAME, NAME, ROLES)
    for role, volume in case.read_all().items():
        assert np.array_equal(volume.data, synthetic.head(synthetic.brats_grid(), role).data)
        assert volume.data.dtype == np.float32
    label = case.read_label().data
    assert label.dtype == np.uint8
    assert np.array_equal(label, synthetic.truth(synthetic.brats_grid()).data)


def test_files_are_assigned_by_name_or_by_the_roles_given(written_studies):
    paths = {role: written_studies / NAME / f"{NAME}_{role}.nii.gz" for role in ROLES}
    assert tuple(case_from_files(reversed(paths.values())).sources) == ROLES
    swapped = case_from_roles({**paths, "t1": paths["t2"], "t2": paths["t1"]})
    assert swapped.sources["t1"].path.name.endswith("_t2.nii.gz")
    with rejected("has no label"):
        swapped.read_label()
    for wrong, message in (
        ({**paths, "pd": paths["t1"]}, "no modality 'pd'"),
        ({**paths, "t2": paths["t1"]}, "given for both t1 and t2"),
        ({role: paths[role] for role in ("t1", "t2", "flair")}, "Missing: T1 with contrast"),
    ):
        with rejected(message):
            case_from_roles(wrong)


@pytest.mark.parametrize("order", [None, ROLES])
def test_a_4d_file_is_read_in_the_decathlon_order_unless_another_is_given(tmp_path, order):
    case = case_from_4d(write_4d(tmp_path / "BRATS_001.nii.gz", order or ("flair", "t1", "t1ce", "t2")), order)
    assert case.id == "BRATS_001"
    for role, volume in case.read_all().items():
        assert np.array_equal(volume.data, HEADS[role])
        assert np.array_equal(case.read(role).data, HEADS[role])


def test_a_folder_with_one_4d_file_is_a_case_an_order_must_match_the_file_and_nrrd_is_read(tmp_path):
    path = write_4d(tmp_path / "upload.nii.gz")
    assert case_from_folder(tmp_path).sources["flair"] == Source(path, 0)
    with rejected("holds 4 volumes, but the order names 3"):
        case_from_4d(path, ("t1", "t1ce", "t2"))
    with rejected("must name t1 once"):
        case_from_4d(path, ("t1", "t1", "t2", "flair"))
    order = ("t1ce", "flair", "t1")
    case = case_from_4d(write_4d(path, order), order, allow_missing=True)
    assert case.sources == {"t1": Source(path, 2), "t1ce": Source(path, 0), "flair": Source(path, 1)}
    assert tuple(case.read_all()) == ("t1", "t1ce", "flair")
    with rejected("must name t2 once"):
        case_from_4d(path, order)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ SMALL.affine
    directions = np.insert(affine[:3, :3].T, 0, np.nan, axis=0)
    header = {"space": "left-posterior-superior", "space directions": directions, "space origin": affine[:3, 3]}
    header["kinds"] = ["list", "domain", "domain", "domain"]
    nrrd.write(str(tmp_path / "four.nrrd"), np.stack(list(HEADS.values())), header)
    flair = case_from_4d(tmp_path / "four.nrrd", ROLES).read_all()["flair"]
    assert np.array_equal(flair.data, HEADS["flair"])
    assert flair.grid.matches(SMALL)


def test_missing_conflicting_and_unreadable_files_are_named_with_their_role(case_folder, written_studies):
    original, copy = case_from_folder(written_studies / NAME), case_from_folder(case_folder, allow_missing=True)
    assert (copy.fingerprint(), copy.missing) == (original.fingerprint(), ())
    with open(case_folder / f"{NAME}_seg.nii.gz", "ab") as file:
        file.write(b"\0")
    assert copy.fingerprint() != original.fingerprint()
    (case_folder / f"{NAME}_t2.nii.gz").unlink()
    with rejected(r"Missing: T2 \(t2\)", "t2"):
        case_from_folder(case_folder)
    case = case_from_folder(case_folder, allow_missing=True)
    assert case.missing == ("t2",)
    assert tuple(case.sources) == tuple(case.read_all()) == ("t1", "t1ce", "flair")
    with rejected(rf"{NAME} has no T2 \(t2\)", "t2"):
        case.read("t2")
    for make in (lambda: Case("x", {}, allow_missing=True), lambda: case_from_files(["notes.nii"], allow_missing=True)):
        with rejected("Missing: T1"):
            make()
    (case_folder / f"{NAME}_t2.nii.gz").write_text("no image")
    with rejected(r"T2 \(t2\).*_t2\.nii\.gz is not a NIfTI file", "t2"):
        case_from_folder(case_folder).read_all()
    for role, message, field in (("seg", r"other_seg\.nii\.gz", "label"), ("t1", r"_t1\.nii\.gz and other_t1", "t1")):
        other = shutil.copy(case_folder / f"{NAME}_{role}.nii.gz", case_folder / f"other_{role}.nii.gz")
        with rejected(message, field):
            case_from_folder(case_folder)
        other.unlink()


def test_an_error_about_several_modalities_names_their_files(written_studies):
    case = case_from_folder(written_studies / NAME)
    files = rf"alike\. The files are {NAME}_t1\.nii\.gz \(t1\) and {NAME}_t2\.nii\.gz \(t2\)\."
    with rejected(files, "t2"), case.naming_files():
        raise InputError("They are alike.", field="t2", roles=("t1", "t2"))
    with rejected("^It is dark.$", "t2"), case.naming_files():
        raise InputError("It is dark.", field="t2")
