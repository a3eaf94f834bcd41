import pytest

from training.errors import InputError
from training.modalities import ROLES, role_of, roles_of

KNOWN = {
    "BraTS20_Training_001_t1.nii": "t1",
    "BraTS20_Training_001_t1ce.nii.gz": "t1ce",
    "BraTS20_Training_001_t2.nii.gz": "t2",
    "BraTS20_Training_001_FLAIR.nii.gz": "flair",
    "BraTS-GLI-00001-000-t1n.nii.gz": "t1",
    "BraTS-GLI-00001-000-t1c.nii.gz": "t1ce",
    "BraTS-GLI-00001-000-t2w.nii.gz": "t2",
    "BraTS-GLI-00001-000-t2f.nii.gz": "flair",
    "TCGA-FG-6692_t1Gd.nii.gz": "t1ce",
    "VSD.Brain.XX.O.MR_T1c.684.mha": "t1ce",
    "sub-01_ce-gad_T1w.nii.gz": "t1ce",
    "sub-01_T1w.nii.gz": "t1",
    "T1 C+ 3D": "t1ce",
    "AX T1 POST GD": "t1ce",
    "T1w_3D_MPRAGE_post": "t1ce",
    "T1KM": "t1ce",
    "SAG MPRAGE": "t1",
    "AX T1 W/O contrast": "t1",
    "T1 pre contrast": "t1",
    "post_op_t1": "t1",
    "AX T2 FLAIR": "flair",
    "t2_tirm_tra_dark-fluid_320": "flair",
    "t2_to_t1.nii.gz": "t2",
    "5: T2-weighted": "t2",
}


@pytest.mark.parametrize(("name", "role"), KNOWN.items())
def test_a_modality_is_recognized_by_name(name, role):
    assert role_of(name) == role


@pytest.mark.parametrize("name", ["BRATS_001.nii.gz", "seg.nii.gz", "AX T2*", "t1_map", "t1 t2", "DWI", "", "patient1"])
def test_a_name_of_no_or_two_modalities_has_no_role(name):
    assert role_of(name) is None


def test_names_are_assigned_in_the_order_of_the_roles_and_conflicts_are_named():
    names = ["a_flair.nii", "a_t2.nii", "a_t1ce.nii", "a_t1.nii", "a_seg.nii"]
    roles = roles_of(names)
    assert tuple(roles) == ROLES
    assert roles["t1ce"] == "a_t1ce.nii"
    for wrong, message, field in (
        (["a_flair.nii", "a_t1ce.nii", "a_t1.nii"], r"Missing: T2 \(t2\).*a_t1\.nii", "t2"),
        ([*names, "b_t1w.nii"], r"a_t1\.nii and b_t1w\.nii", "t1"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            roles_of(wrong)
        assert caught.value.field == field
