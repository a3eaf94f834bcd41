"""Connecting, finding volumes, and Auto-segment: what is sent, and what comes back."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from TumorLoopLib.scene.roles import ROLES

from tests.slicer_extension.harness import dialogs, gui
from tests.slicer_extension.played.case import SECONDS, expected_labels, labels_of, world

# === Connecting ===


def test_the_first_look_leads_to_the_server_and_nothing_else_is_possible(user):
    enabled = {name for name, on in user.buttons().items() if on}
    assert not enabled & {"segmentButton", "submitButton", "retrainButton", "nextCaseButton", "rollbackButton"}
    assert "testButton" in enabled
    assert not user.ui.serverSection.collapsed
    assert user.ui.segmentSection.collapsed
    assert "connection" in user.ui.segmentButton.toolTip


def test_a_connection_is_told_step_by_step_and_opens_the_next_section(user, played):
    user.connect(played.url)
    assert user.tone == "good", user.status
    assert not user.ui.caseSection.collapsed
    assert user.ui.serverSection.collapsed


def test_four_volumes_are_found_and_a_missing_one_is_named(connected, case):
    for role in ROLES:
        assert getattr(connected.parameters, role) is case[role]
        assert getattr(connected.ui, f"{role}Selector").currentNode() is case[role]
    assert connected.ui.segmentButton.enabled
    connected.ui.flairSelector.setCurrentNode(None)
    gui.process_events()
    assert not connected.ui.segmentButton.enabled
    assert "FLAIR" in connected.ui.segmentReason.text


# === Segmenting ===


def test_a_map_of_the_models_own_is_no_volume_to_segment(connected, case):
    case["t2"].SetAttribute("TumorLoop.map", "entropy")
    connected.wait(lambda: "model is unsure" in connected.ui.segmentReason.text or connected.panel.refresh(), 5)
    assert not connected.ui.segmentButton.enabled


def test_four_volumes_are_sent_voxel_for_voxel_with_their_place_in_the_world(connected, case, played):
    connected.segment()
    assert played.uploads == [["flair.nrrd", "t1.nrrd", "t1ce.nrrd", "t2.nrrd"]]
    for role, sent in played.sessions["session0"].items():
        assert np.array_equal(sent.array, slicer.util.arrayFromVolume(case[role])), role
        assert np.allclose(sent.ijk_to_ras, world(case[role]), atol=1e-4), role


def test_the_answer_is_a_new_segmentation_with_names_colors_and_place(connected, case):
    own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    own.GetSegmentation().AddEmptySegment("mine")
    segmentation = connected.segment()
    assert segmentation is not own
    assert own.GetSegmentation().GetNumberOfSegments() == 1
    inner = segmentation.GetSegmentation()
    segments = [inner.GetNthSegment(number) for number in range(3)]
    assert [one.GetName() for one in segments] == ["necrotic core", "peritumoral edema", "enhancing tumor"]
    assert [one.GetColor() for one in segments] == [(0, 1, 1), (1, 1, 0), (1, 0, 0)]
    assert segmentation.GetParentTransformNode() is case["t1ce"].GetParentTransformNode()
    assert np.array_equal(labels_of(segmentation, case["t1ce"]), expected_labels(case))
    assert connected.ui.editor.segmentationNode() is segmentation
    assert connected.ui.editor.sourceVolumeNode() is case["t1ce"]


def test_unchanged_volumes_are_not_sent_twice(connected, case, played):
    connected.segment()
    connected.segment()
    assert len(played.uploads) == 1
    slicer.util.arrayFromVolume(case["t2"])[5, 5, 5] += 1
    slicer.util.arrayFromVolumeModified(case["t2"])
    connected.segment()
    assert played.uploads[1:] == [["t2.nrrd"]]


def test_moved_volumes_are_sent_again(connected, case, played):
    connected.segment()
    case["t1"].SetSpacing(1.0, 1.0, 2.0)
    connected.segment()
    assert played.uploads[1:] == [["t1.nrrd"]]


def test_an_answer_on_another_grid_is_refused_and_nothing_is_lost(connected, played):
    first = connected.segment()
    played.spoil = lambda array: array[:-1]
    connected.click("segmentButton")
    connected.wait_idle()
    assert connected.tone == "bad"
    assert "grid" in connected.status
    assert connected.parameters.segmentation is first
    assert connected.ui.segmentButton.enabled


def test_cancel_ends_a_segmentation_within_a_second_and_tells_the_server(connected, played):
    holding = [True]
    played.hold = lambda: holding[0]
    connected.click("segmentButton")
    connected.wait(lambda: connected.ui.segmentCancelButton.enabled and "POST" in played.asked[-1], SECONDS)
    assert not connected.ui.segmentButton.enabled
    connected.click("segmentCancelButton")
    connected.wait(lambda: "cancelled" in connected.status, 1.5)
    connected.wait(lambda: any(asked.startswith("DELETE /jobs/") for asked in played.asked), 5)
    holding[0] = False
    assert connected.parameters.segmentation is None
    assert connected.ui.segmentButton.enabled


def test_showing_an_answer_is_undone_by_the_scene(connected):
    slicer.mrmlScene.SetUndoOn()
    connected.segment()
    count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    slicer.mrmlScene.Undo()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == count - 1


# === Consent ===


@pytest.fixture
def far_away(monkeypatch):
    """Have the panel take every server for one on another machine."""
    monkeypatch.setattr("TumorLoopLib.panel.settings.is_this_machine", lambda address: False)


def test_nothing_is_sent_to_another_machine_without_consent(connected, played, far_away):
    dialogs.answer("Cancel")
    connected.click("segmentButton")
    assert played.uploads == []
    assert "Nothing was sent" in connected.status
    assert played.url in dialogs.shown[-1].text


def test_consent_is_asked_for_once(connected, played, far_away):
    dialogs.answer("Ok")
    connected.segment()
    connected.segment()
    assert len(dialogs.shown) == 1
    assert len(played.uploads) == 1
