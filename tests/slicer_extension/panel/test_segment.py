"""Connecting, finding volumes, and Auto-segment: what is sent, and what is added to the scene."""

from __future__ import annotations

import numpy as np
import slicer
from TumorLoopLib.scene.roles import ROLES

from tests.slicer_extension.client.http_server import refusal
from tests.slicer_extension.panel.conftest import BOX, expected_labels, labels_of, world


def test_at_first_only_the_server_can_be_chosen(user):
    enabled = {name for name, on in user.buttons().items() if on}
    assert not enabled & {"segmentButton", "submitButton", "retrainButton", "nextCaseButton", "rollbackButton"}
    assert "testButton" in enabled
    assert not user.ui.serverSection.collapsed
    assert user.ui.segmentSection.collapsed
    assert "connection" in user.ui.segmentButton.toolTip


def test_four_volumes_are_found_and_a_missing_one_is_named(connected, case):
    for role in ROLES:
        assert getattr(connected.parameters, role) is case[role]
        assert getattr(connected.ui, f"{role}Selector").currentNode() is case[role]
    connected.ui.flairSelector.setCurrentNode(None)
    assert not connected.ui.segmentButton.enabled
    assert "FLAIR" in connected.ui.segmentReason.text


def test_an_uncertainty_map_is_not_segmented(connected, case):
    case["t2"].SetAttribute("TumorLoop.map", "entropy")
    connected.panel.refresh()
    assert "model is unsure" in connected.ui.segmentReason.text
    assert not connected.ui.segmentButton.enabled


def test_four_volumes_are_sent_voxel_for_voxel_with_their_position_in_the_world(segmented, case, server):
    assert server.uploads == [["flair.nrrd", "t1.nrrd", "t1ce.nrrd", "t2.nrrd"]]
    for role, sent in server.sessions["session0"].items():
        assert np.array_equal(sent.array, slicer.util.arrayFromVolume(case[role])), role
        assert np.allclose(sent.ijk_to_ras, world(case[role]), atol=1e-4), role


def test_the_result_is_a_new_segmentation_with_names_colors_and_position(connected, case):
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
    assert not connected.ui.editor.auto_show, "the editor must not change what the slice views show"


def test_only_changed_and_moved_volumes_are_sent_again(segmented, case, server):
    segmented.segment()
    assert len(server.uploads) == 1
    slicer.util.arrayFromVolume(case["t2"])[5, 5, 5] += 1
    slicer.util.arrayFromVolumeModified(case["t2"])
    segmented.segment()
    case["t1"].SetSpacing(1.0, 1.0, 2.0)
    segmented.segment()
    assert server.uploads[1:] == [["t2.nrrd"], ["t1.nrrd"]]


def test_a_result_on_another_grid_is_refused_and_nothing_is_lost(segmented, server):
    first = segmented.parameters.segmentation
    server.distort = lambda array: array[:-1]
    segmented.click("segmentButton")
    segmented.wait_idle()
    assert segmented.tone == "bad"
    assert "grid" in segmented.status
    assert segmented.parameters.segmentation is first
    assert segmented.ui.segmentButton.enabled


def test_a_segmentation_that_fails_leaves_everything_and_can_be_tried_again(corrected, case, server):
    user, node, buttons = corrected, corrected.parameters.segmentation, corrected.buttons()
    before = labels_of(node, case["t1ce"])
    server.failures["POST /infer/tumorloop"] = refusal(507, "disk", "The disk is full.")
    user.click("segmentButton")
    user.wait_idle()
    assert user.tone == "bad"
    assert user.status == "Nothing was segmented; your segmentations did not change. The disk is full."
    assert user.parameters.segmentation is node
    assert np.array_equal(labels_of(node, case["t1ce"]), before)
    assert user.buttons() == buttons
    assert not user.ui.segmentBar.visible
    assert user.segment() is not node
    assert slicer.mrmlScene.GetNodeByID(node.GetID()) is node


def test_cancel_ends_a_segmentation_within_a_second_and_tells_the_server(connected, server):
    server.may_infer.clear()
    connected.click("segmentButton")
    connected.wait(lambda: "POST" in server.asked[-1])
    assert not connected.ui.segmentButton.enabled
    assert connected.ui.segmentBar.visible
    connected.click("segmentCancelButton")
    connected.wait(lambda: "cancelled" in connected.status, 1.0)
    connected.wait(lambda: any(asked.startswith("DELETE /jobs/") for asked in server.asked), 5)
    assert connected.parameters.segmentation is None
    assert connected.ui.segmentButton.enabled


def test_adding_a_result_is_undone_by_the_scene(connected):
    slicer.mrmlScene.SetUndoOn()
    connected.segment()
    count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    slicer.mrmlScene.Undo()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == count - 1


def test_images_are_sent_to_another_machine_only_with_consent_which_is_asked_for_once(connected, server):
    connected.services.aliases["http://hospital:8000"] = server.url
    connected.type("addressCombo", "http://hospital:8000")
    connected.wait(lambda: connected.ui.segmentButton.enabled)
    connected.services.answers.extend([False, True])
    connected.click("segmentButton")
    connected.run(0.5)
    assert server.uploads == []
    assert "Nothing was sent" in connected.status
    assert "http://hospital:8000" in connected.services.questions[0]
    connected.segment()
    connected.segment()
    assert len(connected.services.questions) == 2
    assert len(server.uploads) == 1


def test_one_segmentation_is_visible_at_a_time(segmented):
    first, second = segmented.parameters.segmentation, segmented.segment()
    assert [node.GetDisplayNode().GetVisibility() for node in (first, second)] == [0, 1]
    segmented.ui.segmentationSelector.setCurrentNode(first)
    assert [node.GetDisplayNode().GetVisibility() for node in (first, second)] == [1, 0]


def test_an_overlay_of_the_users_own_stays(connected, case):
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    for composite in composites:
        composite.SetForegroundVolumeID(case["t2"].GetID())
    connected.segment()
    assert {one.GetForegroundVolumeID() for one in composites} == {case["t2"].GetID()}


def test_the_source_volume_of_the_editor_is_the_users_choice_until_the_next_result(segmented, case):
    editor = segmented.ui.editor
    editor.setSourceVolumeNode(case["flair"])
    segmented.press("1")
    assert editor.sourceVolumeNode() is case["flair"]
    segmented.segment()
    assert editor.sourceVolumeNode() is case["t1ce"]


def test_the_keys_switch_between_the_modalities_hide_the_segmentation_and_undo(segmented, case):
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert composites
    for key, role in enumerate(ROLES, start=1):
        segmented.press(str(key))
        assert {one.GetBackgroundVolumeID() for one in composites} == {case[role].GetID()}
        assert getattr(segmented.ui, f"{role}Button").checked
    display = segmented.parameters.segmentation.GetDisplayNode()
    for visible in (False, True):
        segmented.press("o")
        assert display.GetVisibility() == visible
    for keys, undone in (("Ctrl+Z", True), ("Ctrl+Y", False)):
        segmented.press(keys)
        assert segmented.ui.editor.undone == undone


def test_the_table_shows_milliliters_and_changes(segmented, case):
    segmented.wait(lambda: "Unchanged" in segmented.ui.changesText.text)
    voxel = abs(np.linalg.det(world(case["t1ce"])[:3, :3])) / 1000
    whole = np.count_nonzero(expected_labels(case)) * voxel
    row = segmented.table("regionTable")[0]
    assert row[0].startswith("WT")
    assert abs(float(row[1]) - whole) < 0.06
    segmented.paint(3, BOX)
    segmented.wait(lambda: segmented.ui.changesText.text.startswith("24 voxels differ"))
    assert abs(float(segmented.table("regionTable")[0][2]) - 24 * voxel) < 0.006
