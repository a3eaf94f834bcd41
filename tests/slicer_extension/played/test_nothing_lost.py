"""What the panel leaves alone: volumes and segments that the server has not, others' overlays, labels on their way."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import slicer
import vtk
from TumorLoopLib.client.errors import ConnectionLost
from TumorLoopLib.jobs import segment_and_submit
from TumorLoopLib.panel.state import OVERVIEW
from TumorLoopLib.scene.inputs import mark_origin
from TumorLoopLib.scene.volumes import ROLE_ATTRIBUTE

from tests.slicer_extension.harness import dialogs, gui
from tests.slicer_extension.played.case import NAMES, SECONDS


@pytest.fixture
def another_case(case, tmp_path):
    """A folder with the four volumes of another patient."""
    folder = tmp_path / "patient-2"
    folder.mkdir()
    for role, node in case.items():
        assert slicer.util.saveNode(node, str(folder / f"{role}.nrrd"))
        node.SetName(NAMES[role])
    return folder


@pytest.fixture
def gate(monkeypatch):
    """Keeps labels from being sent until it is opened."""
    opened, send = threading.Event(), segment_and_submit.submit

    def wait_and_send(*arguments):
        assert opened.wait(SECONDS)
        return send(*arguments)

    monkeypatch.setattr(segment_and_submit, "submit", wait_and_send)
    yield opened
    opened.set()


def in_scene(node) -> bool:
    return node.GetScene() is slicer.mrmlScene


# === Going on to another case ===


def test_volumes_of_the_scenes_own_stay_when_the_next_case_comes(connected, case, another_case):
    segmentation = connected.segment()
    connected.submit()
    assert connected.tone == "good", connected.status
    connected.load_folder(another_case)
    assert all(in_scene(node) for node in (*case.values(), segmentation))
    assert connected.parameters.t1ce is not case["t1ce"]


def test_what_the_server_has_goes_and_segments_that_it_has_not_stay(connected, case, another_case):
    for role, node in case.items():
        node.SetAttribute(ROLE_ATTRIBUTE, role)
    segmentation, answer = connected.segment(), connected.parameters.answer
    added = slicer.vtkSegment()
    added.SetName("cavity")
    segmentation.GetSegmentation().AddSegment(added)
    connected.submit()
    connected.load_folder(another_case)
    assert not any(in_scene(node) for node in (*case.values(), answer))
    assert in_scene(segmentation)


def test_the_reference_is_seen_after_a_folder_was_loaded(connected, another_case):
    connected.load_folder(another_case)
    shown = {one.GetBackgroundVolumeID() for one in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}
    assert shown == {connected.parameters.t1ce.GetID()}


# === What is seen ===


def test_one_segmentation_is_seen_at_a_time(connected):
    first, second = connected.segment(), connected.segment()
    assert [node.GetDisplayNode().GetVisibility() for node in (first, second)] == [0, 1]
    connected.ui.segmentationSelector.setCurrentNode(first)
    assert [node.GetDisplayNode().GetVisibility() for node in (first, second)] == [1, 0]


def test_an_overlay_that_somebody_else_laid_over_the_images_stays(connected, case):
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetForegroundVolumeID(case["t2"].GetID())
    connected.segment()
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {one.GetForegroundVolumeID() for one in composites} == {case["t2"].GetID()}


def test_the_source_volume_of_the_editor_is_the_clinicians_choice(connected, case):
    connected.segment()
    editor = connected.ui.editor
    assert editor.sourceVolumeNode() is case["t1ce"]
    editor.setSourceVolumeNode(case["flair"])
    connected.press("1")
    assert editor.sourceVolumeNode() is case["flair"]
    connected.segment()
    assert editor.sourceVolumeNode() is case["t1ce"]


# === Submitting ===


def test_a_label_on_its_way_arrives_although_the_scene_is_closed(connected, played, gate):
    connected.segment()
    connected.type("caseIdEdit", "case-9")
    connected.click("finalCheck")
    connected.click("submitButton")
    connected.wait(lambda: connected.panel.submit.sending, SECONDS)
    slicer.mrmlScene.Clear()
    gui.process_events(0.2)
    assert played.labels == {}
    gate.set()
    connected.wait(lambda: "Saved as draft v0001 of case-9" in connected.status, SECONDS)
    assert np.any(played.labels["case-9"][0].image.array)
    assert connected.panel.context.history == []
    assert connected.parameters.case_id == ""


def test_what_is_edited_while_a_label_is_sent_does_not_count_as_submitted(connected, played, gate):
    connected.segment()
    connected.click("submitButton")
    connected.wait(lambda: connected.panel.submit.sending, SECONDS)
    connected.paint(3, (slice(0, 2), slice(0, 3), slice(0, 4)))
    gate.set()
    connected.wait(lambda: "Submitted as v0001" in connected.status, SECONDS)
    assert not connected.panel.state().submitted
    assert not connected.ui.correctSection.collapsed


def test_a_label_that_fails_after_its_scene_was_closed_is_not_called_safe(connected, gate, monkeypatch):
    def fail(*_arguments):
        assert gate.wait(SECONDS)
        raise ConnectionLost("The connection broke.")

    monkeypatch.setattr(segment_and_submit, "submit", fail)
    connected.segment()
    connected.click("submitButton")
    connected.wait(lambda: connected.panel.submit.sending, SECONDS)
    slicer.mrmlScene.Clear()
    gate.set()
    connected.wait(lambda: "its scene was closed" in connected.status, SECONDS)
    assert connected.tone == "bad"


def test_volumes_go_to_no_server_but_the_one_they_came_from_without_consent(connected, case, played, monkeypatch):
    connected.segment()
    connected.type("caseIdEdit", "case-10")
    mark_origin(case["t1ce"], "http://127.0.0.1:1", "case-10")
    monkeypatch.setattr("TumorLoopLib.panel.settings.is_this_machine", lambda address: False)
    dialogs.answer("Cancel")
    connected.submit()
    assert "Nothing was sent" in connected.status
    assert played.labels == {}
    assert played.url in dialogs.shown[-1].text


# === Closing the scene ===


def test_what_the_server_is_asked_is_answered_although_the_scene_is_closed(connected):
    told: list[bool] = []
    gate = threading.Event()
    connected.wait(lambda: not connected.panel.context.jobs.running(OVERVIEW), SECONDS)
    connected.panel.context.run(OVERVIEW, lambda reporter: gate.wait(SECONDS), told.append, failure="")
    slicer.mrmlScene.Clear()
    gate.set()
    connected.wait(lambda: told == [True], SECONDS)


def test_a_tool_that_was_in_hand_when_a_scene_was_saved_stays_down(connected):
    connected.segment()
    editor = connected.ui.editor
    node = editor.mrmlSegmentEditorNode()
    slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.StartImportEvent)
    node.SetActiveEffectName("Paint")
    connected.wait(lambda: connected.parameters is not None, SECONDS)
    assert editor.mrmlSegmentEditorNode() is node
    assert editor.activeEffect() is None


def test_a_closed_scene_says_what_it_cut_short(connected):
    connected.click("segmentButton")
    slicer.mrmlScene.Clear()
    assert "cancelled" in connected.status
    assert connected.tone != "busy"


def test_parts_of_widgets_that_slicer_has_destroyed_are_not_touched(connected):
    class Destroyed:
        """As PythonQt: what is left of a widget that Slicer has deleted."""

        def property(self, name):
            raise ValueError(f"Trying to call 'property' on a destroyed QToolButton object ({name})")

    connected.ui.gone = Destroyed()
    slicer.mrmlScene.Clear()
    gui.process_events(0.3)
    del connected.ui.gone
    assert connected.parameters is not None
    connected.type("caseIdEdit", "typed")
    assert connected.parameters.case_id == "typed"


def test_room_for_another_case_is_made_in_one_change(connected):
    connected.segment()
    seen: list[str] = []
    node = connected.parameters.parameterNode
    tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: seen.append(event))
    connected.panel.case._clear_case("another")
    node.RemoveObserver(tag)
    assert seen == ["ModifiedEvent"]
    assert (connected.parameters.segmentation, connected.parameters.case_id) == (None, "another")
