import pytest

from tests.training import rejected
from training.modalities import ROLES, role_of, roles_of

KNOWN = {
    "t1": "BraTS20_001_t1.nii; BraTS-GLI-00001-000-t1n.nii.gz; sub-01_T1w.nii.gz; SAG MPRAGE; AX T1 W/O contrast; "
    "T1 pre contrast; post_op_t1",
    "t1ce": "BraTS20_001_t1ce.nii.gz; BraTS-GLI-00001-000-t1c.nii.gz; TCGA-FG-6692_t1Gd.nii.gz; T1KM; T1 C+ 3D; "
    "VSD.Brain.XX.O.MR_T1c.684.mha; sub-01_ce-gad_T1w.nii.gz; AX T1 POST GD; T1w_3D_MPRAGE_post",
    "t2": "BraTS20_001_t2.nii.gz; BraTS-GLI-00001-000-t2w.nii.gz; t2_to_t1.nii.gz; 5: T2-weighted",
    "flair": "BraTS20_001_FLAIR.nii.gz; BraTS-GLI-00001-000-t2f.nii.gz; AX T2 FLAIR; t2_tirm_tra_dark-fluid_320",
}


@pytest.mark.parametrize("role", KNOWN)
def test_a_modality_is_recognized_by_name(role):
    names = [name.strip() for name in KNOWN[role].split(";")]
    assert {name: role_of(name) for name in names} == dict.fromkeys(names, role)


@pytest.mark.parametrize("name", ["BRATS_001.nii.gz", "seg.nii.gz", "AX T2*", "t1_map", "t1 t2", "DWI", "", "patient1"])
def test_a_name_of_no_or_two_modalities_has_no_role(name):
    assert role_of(name) is None


def test_names_are_assigned_in_the_order_of_the_roles_and_conflicts_are_named():
    names = ["a_flair.nii", "a_t2.nii", "a_t1ce.nii", "a_t1.nii", "a_seg.nii"]
    roles = roles_of(names)
    assert (tuple(roles), roles["t1ce"]) == (ROLES, "a_t1ce.nii")
    for wrong, message, field in (
        (["a_flair.nii", "a_t1ce.nii", "a_t1.nii"], r"Missing: T2 \(t2\).*a_t1\.nii", "t2"),
        ([*names, "b_t1w.nii"], r"a_t1\.nii and b_t1w\.nii", "t1"),
    ):
        with rejected(message, field):
            roles_of(wrong)
