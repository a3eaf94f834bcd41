"""Connecting, finding volumes, and Auto-segment: what is sent, and what is added to the scene."""

import numpy as np
import pytest
import slicer
from TumorLoopLib.scene.roles import ROLES

from tests.slicer_extension.client.http_server import refusal
from tests.slicer_extension.panel.conftest import BOX, expected_labels, labels_of, shown_volumes, world
from tests.slicer_extension.scene.nodes import segments_in


def test_at_first_only_the_server_can_be_chosen(user):
    busy = {"segmentButton", "submitButton", "retrainButton", "nextCaseButton", "rollbackButton"}
    assert user.enabled() & {*busy, "testButton"} == {"testButton"}
    assert (user.ui.serverSection.collapsed, user.ui.segmentSection.collapsed) == (False, True)
    assert "connection" in user.ui.segmentButton.toolTip


def test_four_volumes_are_found_and_a_missing_one_or_an_uncertainty_map_is_named(connected, case):
    for role in ROLES:
        assert getattr(connected.parameters, role) is getattr(connected.ui, f"{role}Selector").currentNode()
        assert getattr(connected.parameters, role) is case[role]
    connected.ui.flairSelector.setCurrentNode(None)
    assert not connected.ui.segmentButton.enabled
    assert "FLAIR" in connected.ui.segmentReason.text
    connected.ui.flairSelector.setCurrentNode(case["flair"])
    assert connected.ui.segmentButton.enabled
    case["t2"].SetAttribute("TumorLoop.map", "entropy")
    connected.panel.refresh()
    assert not connected.ui.segmentButton.enabled
    assert "model is unsure" in connected.ui.segmentReason.text


def test_the_result_is_a_new_segmentation_with_names_colors_and_position(connected, case):
    own = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    own.GetSegmentation().AddEmptySegment("mine")
    segmentation = connected.segment()
    assert segmentation is not own
    assert own.GetSegmentation().GetNumberOfSegments() == 1
    assert [(one.GetName(), one.GetColor()) for one in segments_in(segmentation)] == [
        ("necrotic core", (0, 1, 1)),
        ("peritumoral edema", (1, 1, 0)),
        ("enhancing tumor", (1, 0, 0)),
    ]
    assert segmentation.GetParentTransformNode() is case["t1ce"].GetParentTransformNode()
    assert np.array_equal(labels_of(connected), expected_labels(case))
    editor = connected.ui.editor
    assert (editor.segmentationNode(), editor.sourceVolumeNode()) == (segmentation, case["t1ce"])
    assert not editor.auto_show, "the editor must not change what the slice views show"


def test_only_changed_and_moved_volumes_are_sent_again(segmented, case, server):
    assert server.uploads == [["flair.nrrd", "t1.nrrd", "t1ce.nrrd", "t2.nrrd"]]
    for role, sent in server.sessions["session0"].items():
        assert np.array_equal(sent.array, slicer.util.arrayFromVolume(case[role])), role
        assert np.allclose(sent.ijk_to_ras, world(case[role]), atol=1e-4), role
    segmented.segment()
    assert len(server.uploads) == 1
    slicer.util.arrayFromVolume(case["t2"])[5, 5, 5] += 1
    slicer.util.arrayFromVolumeModified(case["t2"])
    segmented.segment()
    case["t1"].SetSpacing(1.0, 1.0, 2.0)
    segmented.segment()
    assert server.uploads[1:] == [["t2.nrrd"], ["t1.nrrd"]]


def test_a_result_on_another_grid_or_a_failure_changes_nothing_and_can_be_tried_again(corrected, server):
    user, buttons, before = corrected, corrected.enabled(), labels_of(corrected)
    node, fitting = user.parameters.segmentation, server.distort
    server.failures["POST /infer/tumorloop"] = refusal(507, "disk", "The disk is full.")  # once
    server.distort = lambda array: array[:-1]
    for words in ("The disk is full.", 'The result does not have the grid of "AX T1 POST GD"'):
        user.finish("segmentButton")
        assert user.tone == "bad"
        assert user.status.startswith(f"Nothing was segmented; your segmentations did not change. {words}")
        assert user.parameters.segmentation is node
        assert np.array_equal(labels_of(user), before)
        assert user.enabled() == buttons
        assert not user.ui.segmentBar.visible
    server.distort = fitting
    assert user.segment() is not node
    assert slicer.mrmlScene.GetNodeByID(node.GetID()) is node


NOT_STRIPPED = "The volumes do not look skull-stripped: 2470 mL of tissue. Strip the skull first."


@pytest.mark.parametrize("confirmed", [False, True])
def test_volumes_that_are_not_skull_stripped_are_segmented_only_after_a_question_each_time(
    connected, server, confirmed
):
    for times in (1, 2):
        before = connected.parameters.segmentation
        server.failures["POST /infer/tumorloop"] = refusal(422, "allow_whole_head", NOT_STRIPPED)
        connected.services.answers.append(confirmed)
        connected.finish("segmentButton")
        assert connected.services.questions == [f"{NOT_STRIPPED}\n\nSegment anyway?"] * times
        assert (connected.parameters.segmentation is not before) == confirmed
        assert [one.get("allow_whole_head") for one in server.inferences] == [True] * times * confirmed
        assert connected.status.endswith(NOT_STRIPPED) != confirmed
        assert connected.tone == ("good" if confirmed else "bad")
        assert connected.ui.segmentButton.enabled
    assert len(server.uploads) == 1, "the volumes were sent twice"
    connected.segment()
    assert "allow_whole_head" not in server.inferences[-1]


def test_a_question_about_whole_heads_of_a_scene_that_was_closed_segments_nothing(connected, server):
    confirm = connected.services.confirm

    def close_scene_and_confirm(text, title):
        slicer.mrmlScene.Clear()
        connected.services.answers.append(True)
        return confirm(text, title)

    connected.services.confirm = close_scene_and_confirm
    server.failures["POST /infer/tumorloop"] = refusal(422, "allow_whole_head", NOT_STRIPPED)
    connected.finish("segmentButton")
    connected.run(0.5)
    assert server.inferences == []
    assert "cancelled" in connected.status


def test_warnings_are_shown_in_the_servers_order_as_long_as_their_segmentation_is(connected, server):
    server.warnings = ["T1 and T1ce look exchanged.", "The volumes\ndo not look skull-stripped."]
    first = connected.segment()
    assert connected.status.endswith("2 warnings, listed under Correct. T1 and T1ce look exchanged.")
    assert connected.tone == "warn"
    assert not connected.ui.correctSection.collapsed
    shown = "⚠ T1 and T1ce look exchanged.\n⚠ The volumes do not look skull-stripped."
    assert (connected.ui.warningText.text, connected.ui.warningText.visible) == (shown, True)
    server.warnings = []
    connected.segment()
    assert (connected.tone, connected.ui.warningText.visible) == ("good", False)
    connected.ui.segmentationSelector.setCurrentNode(first)
    assert (connected.ui.warningText.text, connected.ui.warningText.visible) == (shown, True)
    server.warnings = ["The images are blurred."]
    connected.segment()
    assert connected.status == "The segmentation is ready, with a warning: The images are blurred."


def test_cancel_ends_a_segmentation_within_a_second_and_tells_the_server(inferring, server):
    assert (inferring.ui.segmentButton.enabled, inferring.ui.segmentBar.visible) == (False, True)
    inferring.click("segmentCancelButton")
    inferring.wait_for_status("cancelled", 1.0)
    inferring.wait(lambda: any(asked.startswith("DELETE /jobs/") for asked in server.asked), 5)
    assert inferring.parameters.segmentation is None
    assert inferring.ui.segmentButton.enabled


def test_images_are_sent_to_another_machine_only_with_consent_which_is_asked_for_once(hospital, server):
    hospital.services.answers.extend([False, True])
    hospital.click("segmentButton")
    hospital.run(0.5)
    assert server.uploads == []
    assert "Nothing was sent" in hospital.status
    assert "http://hospital:8000" in hospital.services.questions[0]
    hospital.segment()
    hospital.segment()
    assert (len(hospital.services.questions), len(server.uploads)) == (2, 1)


def test_a_second_segmentation_hides_the_first_keeps_the_users_views_and_can_be_undone(segmented, case):
    composites, editor = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"), segmented.ui.editor
    for composite in composites:
        composite.SetForegroundVolumeID(case["t2"].GetID())
    editor.setSourceVolumeNode(case["flair"])
    segmented.press("1")
    assert editor.sourceVolumeNode() is case["flair"]
    slicer.mrmlScene.SetUndoOn()
    first, second = segmented.parameters.segmentation, segmented.segment()
    assert editor.sourceVolumeNode() is case["t1ce"]  # the user's choice lasts until the next result
    assert {one.GetForegroundVolumeID() for one in composites} == {case["t2"].GetID()}
    assert [node.GetDisplayNode().GetVisibility() for node in (first, second)] == [0, 1]
    segmented.ui.segmentationSelector.setCurrentNode(first)
    assert [node.GetDisplayNode().GetVisibility() for node in (first, second)] == [1, 0]
    count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    slicer.mrmlScene.Undo()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == count - 1


def test_the_keys_switch_between_the_modalities_hide_the_segmentation_and_undo(segmented, case):
    for key, role in enumerate(ROLES, start=1):
        segmented.press(str(key))
        assert shown_volumes() == {case[role].GetID()}
        assert getattr(segmented.ui, f"{role}Button").checked
    display = segmented.parameters.segmentation.GetDisplayNode()
    for visible in (False, True):
        segmented.press("o")
        assert display.GetVisibility() == visible
    for keys, undone in (("Ctrl+Z", True), ("Ctrl+Y", False)):
        segmented.press(keys)
        assert segmented.ui.editor.undone == undone


def test_the_table_shows_milliliters_and_changes(segmented, case):
    segmented.wait_for_changes("Unchanged", 20)
    voxel = abs(np.linalg.det(world(case["t1ce"])[:3, :3])) / 1000
    row = segmented.table("regionTable")[0]
    assert row[0].startswith("WT")
    assert abs(float(row[1]) - np.count_nonzero(expected_labels(case)) * voxel) < 0.06
    segmented.paint(3, BOX)
    segmented.wait(lambda: segmented.ui.changesText.text.startswith("24 voxels differ"))
    assert abs(float(segmented.table("regionTable")[0][2]) - 24 * voxel) < 0.006
