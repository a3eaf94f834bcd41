"""Correcting and submitting: which label arrives, and with what beside it."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from TumorLoopLib.scene.roles import ROLES

from tests.slicer_extension.harness import dialogs, gui
from tests.slicer_extension.played.case import SECONDS, SHAPE, expected_labels, labels_of, world


def test_what_is_submitted_is_the_edited_segmentation_with_who_and_what(connected, case, played):
    segmentation = connected.segment()
    segmentation.GetSegmentation().GetNthSegment(0).SetName("my own name")
    connected.paint(3, (slice(2, 6), slice(1, 4), slice(8, 15)))
    connected.type("caseIdEdit", "case-7")
    connected.type("userEdit", "Dr. Ann")
    connected.type("commentEdit", "more rim")
    connected.submit()
    assert connected.tone == "good", connected.status
    (label,) = played.labels["case-7"]
    expected = expected_labels(case)
    expected[2:6, 1:4, 8:15] = 3
    assert np.array_equal(label.image.array, expected)
    assert np.allclose(label.image.ijk_to_ras, world(case["t1ce"]), atol=1e-4)
    assert label.tag == label.params["status"] == "final"
    assert (label.params["comment"], label.params["client_id"]) == ("more rim", "Dr. Ann")
    assert label.params["model_version"] == "v0001"
    assert label.params["label_info"] == [
        {"name": "necrotic core", "idx": 1},
        {"name": "peritumoral edema", "idx": 2},
        {"name": "enhancing tumor", "idx": 3},
    ]
    assert len(played.uploads) == 1, "the volumes went out twice"
    assert [row[0] for row in connected.table("historyTable")] == ["v0001"]


def test_a_draft_is_a_draft(connected, played):
    connected.segment()
    connected.type("caseIdEdit", "case-8")
    connected.click("finalCheck")
    connected.submit()
    (label,) = played.labels["case-8"]
    assert label.tag == label.params["status"] == "draft"
    assert "draft" in connected.status


def test_an_empty_segmentation_is_asked_about_before_it_is_sent(connected, played):
    segmentation = connected.segment()
    for number in range(3):
        segment_id = segmentation.GetSegmentation().GetNthSegmentID(number)
        empty = np.zeros(SHAPE, np.uint8)
        slicer.util.updateSegmentBinaryLabelmapFromArray(empty, segmentation, segment_id, connected.parameters.t1ce)
    dialogs.answer("Cancel")
    connected.submit()
    assert played.labels == {}
    assert "Nothing was submitted" in connected.status


def test_a_lost_segment_is_not_lost_silently(connected, case, played):
    segmentation = connected.segment()
    inner = segmentation.GetSegmentation()
    inner.RemoveSegment(inner.GetNthSegmentID(1))
    connected.submit()
    (label,) = played.labels[connected.parameters.case_id]
    expected = expected_labels(case)
    expected[expected == 2] = 0
    assert np.array_equal(label.image.array, expected), "the labels of the others must not move up"
    assert "There is no segment for peritumoral edema" in connected.status


def test_an_edit_after_submitting_leads_back_to_correcting(connected):
    connected.segment()
    connected.submit()
    gui.process_events()
    assert connected.ui.correctSection.collapsed
    assert not connected.ui.retrainSection.collapsed
    connected.paint(3, (slice(0, 2), slice(0, 3), slice(0, 4)))
    connected.wait(lambda: not connected.ui.correctSection.collapsed, SECONDS)


def test_an_earlier_label_is_loaded_as_a_new_segmentation(connected, case, played):
    first = connected.segment()
    connected.paint(3, (slice(0, 2), slice(0, 3), slice(0, 4)))
    connected.submit()
    connected.ui.historyTable.selectRow(0)
    gui.process_events()
    connected.click("loadLabelButton")
    connected.wait_idle()
    loaded = connected.parameters.segmentation
    assert loaded is not first
    assert np.array_equal(labels_of(loaded, case["t1ce"]), played.labels["case"][0].image.array)


def test_the_keys_flip_through_the_modalities_and_hide_the_segmentation(connected, case):
    segmentation = connected.segment()
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert composites
    for key, role in enumerate(ROLES, start=1):
        connected.press(str(key))
        assert {one.GetBackgroundVolumeID() for one in composites} == {case[role].GetID()}
    connected.press("o")
    assert not segmentation.GetDisplayNode().GetVisibility()
    connected.press("o")
    assert segmentation.GetDisplayNode().GetVisibility()


def test_the_table_tells_milliliters_and_what_changed(connected, case):
    connected.segment()
    connected.wait(lambda: "Unchanged" in connected.ui.changesText.text, SECONDS)
    voxel = abs(np.linalg.det(world(case["t1ce"])[:3, :3])) / 1000
    whole = np.count_nonzero(expected_labels(case)) * voxel
    row = connected.table("regionTable")[0]
    assert row[0].startswith("WT")
    assert float(row[1]) == pytest.approx(whole, abs=0.06)
    connected.paint(3, (slice(0, 2), slice(0, 3), slice(0, 4)))
    connected.wait(lambda: connected.ui.changesText.text.startswith("24 voxels differ"), SECONDS)
    assert float(connected.table("regionTable")[0][2]) == pytest.approx(24 * voxel, abs=0.006)


@pytest.mark.parametrize(("field", "parameter"), [("commentEdit", "comment"), ("caseIdEdit", "case_id")])
def test_a_text_can_be_mended_in_its_middle(connected, field, parameter):
    connected.segment()
    connected.type(field, "mre rim")
    edit = getattr(connected.ui, field)
    for key in ("Home", "Right", "o"):
        gui.press(key, edit)
    assert edit.text == getattr(connected.parameters, parameter) == "more rim"
    assert edit.cursorPosition == 2
