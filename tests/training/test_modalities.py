import pytest

from tests.training import rejected
from training.modalities import ROLES, recognized, role_of, roles_of

KNOWN = {
    "t1": "BraTS20_001_t1.nii; BraTS-GLI-00001-000-t1n.nii.gz; sub-01_T1w.nii.gz; SAG MPRAGE; AX T1 W/O contrast; "
    "T1 pre contrast; post_op_t1; Ax_T1_FLAIR; T1-FLAIR; T1FLAIR; t1_tirm_tra_dark-fluid; pre_T1; T1_pre; T1 pre-gad; "
    "pre_op_T1; preoperative T1; T1 pre-RT; 3DT1; T1 no contrast; patient no 5 T1; CT_001_t1; t1_reg",
    "t1ce": "BraTS20_001_t1ce.nii.gz; BraTS-GLI-00001-000-t1c.nii.gz; TCGA-FG-6692_t1Gd.nii.gz; T1KM; T1 C+ 3D; "
    "VSD.Brain.XX.O.MR_T1c.684.mha; sub-01_ce-gad_T1w.nii.gz; AX T1 POST GD; T1w_3D_MPRAGE_post; CT1.nii.gz; GdT1; "
    "Ax_T1_FLAIR_POST_GAD; T1FLAIR +C; pre_op_T1_GD; preop_T1_GD; preOP T1+C; pre-op T1 post contrast; T1wCE; t1_ce; "
    "post_op_T1_GD; T1-weighted post contrast; patient no 5 T1 GD",
    "t2": "BraTS20_001_t2.nii.gz; BraTS-GLI-00001-000-t2w.nii.gz; t2_to_t1.nii.gz; 5: T2-weighted; Ax_T2_PROPELLER",
    "flair": "BraTS20_001_FLAIR.nii.gz; BraTS-GLI-00001-000-t2f.nii.gz; AX T2 FLAIR; t2_tirm_tra_dark-fluid_320; "
    "Ax_T2_FLAIR; FLAIR_reg_T1; pre_op_FLAIR",
}

OTHERS = "BRATS_001.nii.gz; seg.nii.gz; AX T2*; t1_map; t1 t2; DWI; patient1; ADC; SWI; PD; PD_T2; MRA; DTI; CT; "
OTHERS += "CBV; CT_T1; T1 CBV; perfusion T1; AX T2 GRE; T1_T2_ratio; t1_brain_mask; T1_1Warp; FLAIR_T1; T1 and FLAIR"


@pytest.mark.parametrize("role", KNOWN)
def test_a_modality_is_recognized_by_name(role):
    names = [name.strip() for name in KNOWN[role].split(";")]
    assert {name: role_of(name) for name in names} == dict.fromkeys(names, role)


@pytest.mark.parametrize("name", ["", *OTHERS.split("; ")])
def test_a_name_of_another_image_or_of_two_modalities_has_no_role(name):
    assert role_of(name) is None


def test_a_word_that_all_names_share_says_nothing_of_contrast():
    for word in ("pre", "post"):
        names = {f"P01_{word}_{end}.nii": role for end, role in zip(("T1", "T1GD", "T2", "FLAIR"), ROLES, strict=True)}
        assert recognized(names) == names
    # unless a modality would then be missing: all four may have been acquired after contrast
    assert recognized(["T1_post.nii", "T2_post.nii", "FLAIR_post.nii"])["T1_post.nii"] == "t1ce"


def test_a_volume_with_its_bias_field_corrected_is_used_only_if_there_is_no_other():
    assert recognized(["a_T1.nii", "a_T1_bias.nii", "a_T2_bias.nii"]) == {"a_T1.nii": "t1", "a_T2_bias.nii": "t2"}


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
