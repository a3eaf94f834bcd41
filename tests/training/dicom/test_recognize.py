"""The modality of a series by name, agent and times, with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from training.dicom.image import Image
from training.dicom.recognize import Verdict, in_study, recognize
from training.modalities import role_of

#: Descriptions of several vendors and languages by modality; the last ones are of none.
NAMES = {
    "t1": "AX T1|t1_mprage_sag_p2_iso|SAG T1 SE|3D T1 BRAVO|Ax T1 FSPGR|sT1W_3D_TFE|T1W_TSE"
    "|T1 sans injection|T1 SIN CONTRASTE|t1_se_tra nativ|T1 ohne KM|T1 s/ contraste|AX T1 S/GD"
    "|T1 sem contraste|T1 senza mdc|T1 zonder contrast|AX T1 FLAIR|t1_tirm_tra_dark-fluid|AX T1 W/O"
    "|T1 PRE|Ax T1 pre gad|T1 vor KM|3D MPRAGE|T1 平扫|T1 造影前|T1W_FFE|T1 без контраста",
    "t1ce": "AX T1 POST|AX T1 +C|AX T1 C+|t1_mprage_sag_p2_iso_KM|SAG T1 MPRAGE POST GAD|3D T1 BRAVO +C"
    "|T1 avec injection|T1 INJ|T1 après gado|T1 con contraste|AX T1 C/GD|T1 com contraste"
    "|T1 pós contraste|T1 con mdc|T1 dopo mdc|T1 met contrast|T1 nach KM|T1 m. KM|sT1W_3D_TFE_CE"
    "|T1 GD|3D_AX_T1_postcontrast|T1 造影|T1 增强|T1W_TSE+Gd|T1_VIBE_FS_post|t1_fl2d_tra_gd"
    "|T1 W/ CONTRAST|MPRAGE Gd|T1 po kontraście|T1 с контрастом",
    "t2": "AX T2|t2_tse_tra|Ax T2 PROPELLER|T2W_TSE|3D_AX_T2_SPACE|CUBE T2|t2_spc_sag_iso|AX T2 FS"
    "|sT2W_3D_TSE|t2 blade",
    "flair": "AX FLAIR|AX T2 FLAIR|t2_tirm_tra_dark-fluid|t2_space_dark-fluid_sag|Sag CUBE T2 FLAIR"
    "|3D FLAIR VISTA|sT2W_FLAIR|FLAIR_longTR|FLAIR post gd|3D_Brain_VIEW_FLAIR|T2 压水",
    "": "localizer|3-Plane Loc|AAHead_Scout|Survey|ep2d_diff_tra_b1000|Ax DWI|ADC|T2* GRE"
    "|t2_fl2d_tra_hemo|SWI_Images|t2_swi3d|mIP_Images(SW)|3D TOF|MRA COW|Perfusion DSC|relCBV"
    "|ep2d_perf|T1 SUB|FieldMap|ASSET calibration|C-spine T2|T2 STIR|SVS press|t1_mp2rage_INV1"
    "|Pha_Images|PD AX|FA map|AX T2 GRE|QSM|Screen Save|FIESTA",
}


def image(description: str = "", **attributes: Any) -> Image:
    return Image(Path(), modality="MR", description=description, **attributes)


@pytest.mark.parametrize(("role", "name"), [(role, name) for role, names in NAMES.items() for name in names.split("|")])
def test_names_of_scanners_of_several_vendors_and_languages(role: str, name: str) -> None:
    assert (recognize(image(name)).role or "") == role


def test_the_protocol_decides_where_the_description_is_silent() -> None:
    verdict = recognize(image("Brain routine", protocol="t2_tse_tra"))
    assert (verdict.role, verdict.reason) == ("t2", "its protocol ('t2_tse_tra') says T2")


@pytest.mark.parametrize(
    ("te", "tr", "ti", "agent", "role"),
    [
        (12, 500, None, "", "t1"),
        (3.0, 2300, 900, "", "t1"),
        (3.0, 7.5, None, "Gadobutrol", "t1ce"),
        (25, 2200, 860, "", "t1"),
        (95, 4500, None, "", "t2"),
        (408, 3200, None, "", "t2"),
        (120, 9000, 2500, "", "flair"),
        (388, 5000, 1800, "Gadobutrol", "flair"),
        (15, 3500, None, "", None),  # proton density
        (70, 4000, 150, "", None),  # STIR
    ],
)
def test_times_decide_where_no_name_does(te: float, tr: float, ti: float | None, agent: str, role: str | None) -> None:
    verdict = recognize(image("Ax brain", echo_time=te, repetition_time=tr, inversion_time=ti, agent=agent))
    assert verdict.role == role
    assert f"TE {te:g} ms, TR {tr:g} ms" in verdict.reason


def test_a_gradient_echo_with_a_long_echo_time_is_no_t1() -> None:
    assert recognize(image("Ax", echo_time=20, repetition_time=650, scanning_sequence=("GR",))).role is None


def test_enhanced_mr_says_its_contrast() -> None:
    verdict = recognize(image("Brain", contrast="FLUID_ATTENUATED"))
    assert (verdict.role, verdict.reason) == ("flair", "its header (AcquisitionContrast FLUID_ATTENUATED) says FLAIR")


def test_a_t1_flair_by_its_times_is_no_flair() -> None:
    verdict = recognize(image("AX FLAIR", echo_time=24, repetition_time=2200, inversion_time=860))
    assert (verdict.role, verdict.maybe) == (None, ("flair", "t1", "t1ce"))
    assert "says FLAIR, but its times (TE 24 ms, TR 2200 ms, TI 860 ms) are those of T1" in verdict.reason


def test_a_name_that_the_times_contradict_is_uncertain() -> None:
    verdict = recognize(image("AX T1", echo_time=95, repetition_time=4500))
    assert (verdict.role, verdict.maybe) == (None, ("t1", "t2"))
    assert "but its times (TE 95 ms, TR 4500 ms) are those of T2" in verdict.reason


def test_an_agent_makes_a_plain_t1_one_with_contrast() -> None:
    verdict = recognize(image("AX T1", agent="Dotarem"))
    assert verdict.role == "t1ce"
    assert "a contrast agent was given (Dotarem)" in verdict.reason


def test_a_name_without_contrast_precedes_the_agent_that_was_entered_for_the_whole_study() -> None:
    assert recognize(image("AX T1 PRE", agent="Dotarem")).role == "t1"


def test_a_missing_inversion_time_contradicts_no_flair() -> None:
    assert recognize(image("AX FLAIR", echo_time=120, repetition_time=9000)).role == "flair"


def test_the_first_echo_of_a_t2_is_none() -> None:
    assert recognize(image("AX T2", echo_time=15, repetition_time=3500)).role is None


def test_nothing_known_is_nothing_recognized() -> None:
    assert recognize(image("Brain")).reason == "neither its name nor its times (not stated) tell the modality"


def study(*images: Image) -> list[Verdict]:
    return in_study([recognize(one) for one in images], images)


def test_a_plain_t1_before_the_agent_is_without_and_after_it_with_contrast() -> None:
    before = image("AX T1", acquired="20240131100000", agent="Dotarem")
    contrast = image("AX T1 POST", acquired="20240131103000", agent="Dotarem")
    after = image("COR T1", acquired="20240131104000")
    assert [verdict.role for verdict in study(before, contrast, after)] == ["t1", "t1ce", "t1ce"]


def test_a_plain_t1_of_a_lower_number_is_without_where_no_times_are_known() -> None:
    verdicts = study(image("AX T1", series_number=3, agent="Gd"), image("AX T1 POST", series_number=8, agent="Gd"))
    assert [verdict.role for verdict in verdicts] == ["t1", "t1ce"]
    assert "was made before the series that says contrast" in verdicts[0].reason


def test_the_only_t1_is_taken_and_told_if_it_was_made_after_contrast() -> None:
    verdicts = study(image("T1CE", acquired="20240131100000"), image("T1", acquired="20240131103000"))
    assert [verdict.role for verdict in verdicts] == ["t1ce", "t1"]
    assert "which is unusual: check that it is without" in verdicts[1].reason


def test_another_part_of_the_body_counts_where_other_series_are_of_the_head() -> None:
    spine = image("SAG T2", body_part="CSPINE")
    assert [verdict.role for verdict in study(spine, image("AX T2", body_part="BRAIN"))] == [None, "t2"]
    assert [verdict.role for verdict in study(spine, image("AX T2", body_part="CSPINE"))] == ["t2", "t2"]


def test_two_plain_t1_without_agent_are_uncertain() -> None:
    verdicts = study(image("AX T1"), image("AX T1"))
    assert [(verdict.role, verdict.maybe) for verdict in verdicts] == [(None, ("t1", "t1ce"))] * 2
    assert "no header names a contrast agent" in verdicts[0].reason


def test_two_plain_t1_with_agent_are_uncertain() -> None:
    assert [verdict.role for verdict in study(image("AX T1", agent="Gd"), image("COR T1", agent="Gd"))] == [None, None]


def test_of_two_plain_t1_the_one_with_agent_is_with_contrast() -> None:
    assert [verdict.role for verdict in study(image("AX T1"), image("AX T1", agent="Gd"))] == ["t1", "t1ce"]


def test_one_plain_t1_beside_one_with_contrast_in_its_name_is_without() -> None:
    assert [verdict.role for verdict in study(image("AX T1"), image("AX T1 POST"))] == ["t1", "t1ce"]


def test_series_names_that_the_panel_knows_are_recognized_alike() -> None:
    names = Path(__file__).parents[2] / "slicer_extension" / "series_names.txt"
    for name in filter(None, names.read_text(encoding="utf-8").splitlines()):
        known = role_of(name)
        if known is not None and "." not in name:
            assert recognize(image(name)).role == known, name
