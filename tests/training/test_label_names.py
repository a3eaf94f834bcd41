"""The names by which other programs call the labels."""

import pytest

from training.label_names import value_of, value_of_code


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (1, "necrotic core, Necrosis, NCR, NCR/NET, NETC, non-enhancing tumor, nonenhancing tumour core, cyst"),
        (1, "Necrotic and non-enhancing tumor core, necrotic brain tumor core, cystic component, CC, NCR_NET"),
        (2, "edema, Oedema, peritumoral_edema, ED, SNFH, peritumoral edematous/invaded tissue, brain edema"),
        (2, "surrounding non-enhancing FLAIR hyperintensity, non-enhancing T2/FLAIR hyperintensity"),
        (3, "enhancing tumor, Enhancing_Tumour, ET, AT, active tumor, GD-enhancing tumor, enhancing core, CE"),
        (3, "contrast-enhancing tumor, gadolinium enhancing tumor, enhancing tissue, ET (enhancing tumor)"),
        (0, "resection cavity, RC, surgical cavity, background, Clear Label, unlabelled"),
        (None, "tumor, whole tumor, tumor core, core, TC, WT, FLAIR hyperintensity, brain mask, ventricles"),
        (None, "Segment_1, 1, enhancing and necrotic tumor, enhancing vessel, GTV, lesion"),
    ],
)
def test_a_name_has_one_meaning_or_none(value, names):
    assert {name: value_of(name) for name in names.split(", ")} == dict.fromkeys(names.split(", "), value)
    assert value_of("") is None


def test_codes_of_edema_necrosis_and_neoplasm_are_known_in_both_versions_of_snomed():
    codes = [("SCT", "79654002"), ("SRT", "M-36300"), ("SCT", "6574001"), ("SRT", "M-54000"), ("SCT", "86049000")]
    assert [value_of_code(*code) for code in codes] == [2, 2, 1, 1, 3]
    assert value_of_code("SCT", "85756007") is None  # Tissue, Slicer's default
