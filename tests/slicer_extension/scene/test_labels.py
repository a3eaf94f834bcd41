import copy

import pytest
from TumorLoopLib.client.errors import BadReply
from TumorLoopLib.scene.labels import LabelSet

from tests.slicer_extension.scene.nodes import INFO, LABELS


def changed(**fields):
    info = copy.deepcopy(INFO)
    info["label_details"][0].update(fields)
    return info


def test_labels_are_what_the_server_says_and_enhancing_tumor_comes_before_necrotic_core_before_edema():
    assert [label.key for label in LABELS.by_priority] == ["ED", "NCR", "ET"]
    edema = LABELS.labels[1]
    assert (edema.name, edema.key, edema.color) == ("peritumoral edema", "ED", (1.0, 1.0, 0.0))
    assert edema.code == ("SCT", "79654002", "Edema")
    assert [region.key for region in LABELS.regions] == ["WT", "TC", "ET"]
    assert LABELS.regions[1].values == (1, 3)
    assert LabelSet.from_info({**INFO, "label_details": INFO["label_details"][::-1]}) == LABELS
    assert LabelSet.from_info(changed(color=[-3, 300, 51])).labels[0].color == (0.0, 1.0, 0.2)


def test_a_label_is_found_by_value_and_by_full_or_short_name_in_any_case():
    assert LABELS.by_value(2) is LABELS.labels[1]
    assert LABELS.by_name(" Enhancing Tumor ") is LABELS.by_name("et") is LABELS.labels[2]
    assert LABELS.by_value(4) is LABELS.by_name("") is LABELS.by_name("tumor") is None


def test_a_label_is_found_by_its_code_in_a_terminology_entry():
    entry = "any list~SCT^49755003^Other words~SCT^79654002^Swelling~^^~any~^^~^^"
    assert LABELS.by_terminology(entry) is LABELS.labels[1]
    for other in ("", "~", "a~b~c", "list~SCT^49755003^x~SCT^85756007^Tissue~^^~l~^^~^^", "~^^~^^~^^"):
        assert LABELS.by_terminology(other) is None


def test_labels_come_back_equal_from_their_json_and_damaged_json_is_an_error_a_clinician_can_read():
    assert LabelSet.from_json(LABELS.to_json()) == LABELS
    for text in ("", "no json", "[]", "{}", '{"labels": [], "regions": []}', LABELS.to_json()[:-20]):
        with pytest.raises(BadReply, match=r"labels"):
            LabelSet.from_json(text)


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"label_details": []},
        {"label_details": None},
        {"label_details": [{"name": "x"}]},
        *(changed(color=color) for color in ([1, 2], "red")),
        *(changed(value=value) for value in ("one", 0, 256, 2)),
        changed(name="Enhancing Tumor"),
        changed(type={}),
        {**INFO, "regions": {"WT": {"name": "whole", "values": [1, 7]}}},
        {**INFO, "regions": {"WT": {"name": "whole"}}},
        {**INFO, "regions": ["WT"]},
    ],
)
def test_a_description_that_cannot_be_used_is_refused(info):
    with pytest.raises(BadReply, match=r"^This server"):
        LabelSet.from_info(info)
