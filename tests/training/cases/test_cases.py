import shutil

import nibabel
import nrrd
import numpy as np
import pytest

from tests import synthetic
from training.cases.case import Case, Source, case_from_4d, case_from_files, case_from_roles, patient_of, slug
from training.cases.find import case_from_folder
from training.errors import InputError
from training.modalities import ROLES


def write_4d(path, order=("flair", "t1", "t1ce", "t2")):
    grid = synthetic.brats_grid((16, 16, 16))
    data = np.stack([synthetic.head(grid, role).data for role in order], axis=-1)
    nibabel.save(nibabel.Nifti1Image(data, grid.affine), path)
    return path, grid


def test_a_brats_folder_is_a_case(case_folder):
    case = case_from_folder(case_folder)
    assert case.id == case.patient == "BraTS20_Training_001"
    assert tuple(case.sources) == ROLES
    assert case.label is not None
    volumes = case.read_all()
    for role in ROLES:
        assert np.array_equal(volumes[role].data, synthetic.head(synthetic.brats_grid(), role).data)
        assert volumes[role].data.dtype == np.float32


def test_a_label_is_read_in_internal_values(case_folder):
    label = case_from_folder(case_folder).read_label()
    assert label.data.dtype == np.uint8
    assert np.array_equal(label.data, synthetic.truth(synthetic.brats_grid()).data)


def test_a_case_without_a_label_says_so(tmp_path):
    case = case_from_folder(synthetic.write_case(tmp_path, label=False))
    with pytest.raises(InputError, match="has no label"):
        case.read_label()


def test_hidden_files_and_brain_masks_are_no_modalities(case_folder):
    (case_folder / "._BraTS20_Training_001_t1.nii.gz").write_bytes(b"x")
    (case_folder / "BraTS20_Training_001_t1_brain_mask.nii.gz").write_bytes(b"x")
    assert case_from_folder(case_folder).sources["t1"].path.name == "BraTS20_Training_001_t1.nii.gz"


def test_a_missing_modality_is_named_in_the_error(case_folder):
    (case_folder / "BraTS20_Training_001_t2.nii.gz").unlink()
    with pytest.raises(InputError, match=r"Missing: T2 \(t2\)") as caught:
        case_from_folder(case_folder)
    assert caught.value.field == "t2"


def test_two_files_for_one_role_are_named_in_the_error(case_folder):
    shutil.copy(case_folder / "BraTS20_Training_001_t1.nii.gz", case_folder / "other_t1.nii.gz")
    with pytest.raises(InputError, match=r"BraTS20_Training_001_t1\.nii\.gz and other_t1\.nii\.gz") as caught:
        case_from_folder(case_folder)
    assert caught.value.field == "t1"


def test_two_labels_are_named_in_the_error(case_folder):
    shutil.copy(case_folder / "BraTS20_Training_001_seg.nii.gz", case_folder / "other_seg.nii.gz")
    with pytest.raises(InputError, match=r"other_seg\.nii\.gz") as caught:
        case_from_folder(case_folder)
    assert caught.value.field == "label"


def test_reading_junk_names_the_modality_and_the_file(case_folder):
    (case_folder / "BraTS20_Training_001_t2.nii.gz").write_text("no image")
    with pytest.raises(InputError, match=r"T2 \(t2\).*_t2\.nii\.gz is not a NIfTI file") as caught:
        case_from_folder(case_folder).read_all()
    assert caught.value.field == "t2"


def test_loose_files_make_a_case_by_their_names(case_folder, tmp_path):
    files = list(case_folder.glob("*_[tf]*.nii.gz"))
    assert tuple(case_from_files(files).sources) == ROLES


def test_files_of_known_roles_make_a_case_whatever_their_names(case_folder):
    paths = {role: case_folder / f"BraTS20_Training_001_{role}.nii.gz" for role in ROLES}
    paths["t1"], paths["t2"] = paths["t2"], paths["t1"]
    assert case_from_roles(paths).sources["t1"].path.name.endswith("_t2.nii.gz")


def test_unknown_missing_and_doubled_roles_are_refused(case_folder):
    paths = {role: case_folder / f"BraTS20_Training_001_{role}.nii.gz" for role in ROLES}
    with pytest.raises(InputError, match="no modality 'pd'"):
        case_from_roles({**paths, "pd": paths["t1"]})
    with pytest.raises(InputError, match=r"given for both t1 and t2"):
        case_from_roles({**paths, "t2": paths["t1"]})
    del paths["flair"]
    with pytest.raises(InputError, match=r"Missing: FLAIR"):
        case_from_roles(paths)


def test_a_4d_file_is_read_in_the_decathlons_order(tmp_path):
    path, grid = write_4d(tmp_path / "BRATS_001.nii.gz")
    case = case_from_4d(path)
    assert case.id == "BRATS_001"
    volumes = case.read_all()
    for role in ROLES:
        assert np.array_equal(volumes[role].data, synthetic.head(grid, role).data)
        assert np.array_equal(case.read(role).data, synthetic.head(grid, role).data)


def test_a_4d_file_is_read_in_the_order_that_is_declared(tmp_path):
    path, grid = write_4d(tmp_path / "four.nii", order=ROLES)
    volumes = case_from_4d(path, ROLES).read_all()
    assert np.array_equal(volumes["t1ce"].data, synthetic.head(grid, "t1ce").data)


def test_a_4d_nrrd_makes_a_case(tmp_path):
    grid = synthetic.brats_grid((16, 16, 16))
    data = np.stack([synthetic.head(grid, role).data for role in ROLES])
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    directions = np.insert(affine[:3, :3].T, 0, np.nan, axis=0)
    header = {"space": "left-posterior-superior", "space directions": directions, "space origin": affine[:3, 3]}
    nrrd.write(str(tmp_path / "four.nrrd"), data, {**header, "kinds": ["list", "domain", "domain", "domain"]})
    volumes = case_from_4d(tmp_path / "four.nrrd", ROLES).read_all()
    assert np.array_equal(volumes["flair"].data, synthetic.head(grid, "flair").data)
    assert volumes["flair"].grid.matches(grid)


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
def test_an_order_that_does_not_fit_the_file_is_refused(tmp_path, order, message):
    path, _ = write_4d(tmp_path / "four.nii")
    with pytest.raises(InputError, match=message):
        case_from_4d(path, order)


def test_a_case_needs_all_four_modalities(tmp_path):
    with pytest.raises(InputError, match="Missing: T1 with contrast"):
        Case("x", {role: Source(tmp_path / role) for role in ("t1", "t2", "flair")})


def test_the_fingerprint_follows_the_bytes_and_not_the_names(case_folder, tmp_path):
    first = case_from_folder(case_folder)
    copy = tmp_path / "elsewhere"
    shutil.copytree(case_folder, copy)
    assert case_from_folder(copy).fingerprint() == first.fingerprint()
    seg = copy / "BraTS20_Training_001_seg.nii.gz"
    seg.write_bytes(seg.read_bytes() + b"\0")
    assert case_from_folder(copy).fingerprint() != first.fingerprint()


@pytest.mark.parametrize(
    ("case_id", "patient"),
    [
        ("BraTS20_Training_001", "BraTS20_Training_001"),
        ("BraTS-GLI-00001-001", "BraTS-GLI-00001"),
        ("TCGA-FG-6692_native", "TCGA-FG-6692"),
        ("TCGA-FG-6692", "TCGA-FG-6692"),
        ("UPENN-GBM-00012_11", "UPENN-GBM-00012"),
        ("sub-03_ses-2", "sub-03"),
        ("phantom_0001", "phantom_0001"),
    ],
)
def test_visits_of_one_patient_are_known_as_such(case_id, patient):
    assert patient_of(case_id) == patient


def test_a_slug_is_safe_short_and_different_for_different_names():
    assert slug("W39_1998.09.19 Müller/T1") == "W39_1998-09-19-Muller-T1"
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("日本") != slug("中国")
    assert slug("日本").startswith("case-")
    long = [slug("x" * 100), slug("x" * 101)]
    assert long[0] != long[1]
    assert all(len(name) <= 64 for name in long)


def test_a_modality_may_be_missing_if_allowed(case_folder):
    (case_folder / "BraTS20_Training_001_t2.nii.gz").unlink()
    case = case_from_folder(case_folder, allow_missing=True)
    assert case.missing == ("t2",)
    assert tuple(case.sources) == tuple(case.read_all()) == ("t1", "t1ce", "flair")
    with pytest.raises(InputError, match=r"BraTS20_Training_001 has no T2 \(t2\)") as caught:
        case.read("t2")
    assert caught.value.field == "t2"


def test_a_whole_case_misses_nothing_even_where_it_could(case_folder):
    case = case_from_folder(case_folder, allow_missing=True)
    assert case.missing == ()
    assert case.fingerprint() == case_from_folder(case_folder).fingerprint()


def test_a_case_without_any_modality_is_refused_even_if_some_may_be_missing():
    with pytest.raises(InputError, match="Missing: T1"):
        Case("x", {}, allow_missing=True)
    with pytest.raises(InputError, match="Missing: T1"):
        case_from_files(["notes.nii.gz"], allow_missing=True)


def test_a_4d_file_may_be_short_of_modalities_if_allowed(tmp_path):
    path, _ = write_4d(tmp_path / "three.nii.gz", ("t1ce", "flair", "t1"))
    case = case_from_4d(path, ("t1ce", "flair", "t1"), allow_missing=True)
    assert case.sources == {"t1": Source(path, 2), "t1ce": Source(path, 0), "flair": Source(path, 1)}
    assert tuple(case.read_all()) == ("t1", "t1ce", "flair")
    with pytest.raises(InputError, match="must name t2 once"):
        case_from_4d(path, ("t1ce", "flair", "t1"))
