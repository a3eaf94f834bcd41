"""Retraining, model versions, and a scene that is closed."""

from __future__ import annotations

import slicer

from tests.slicer_extension.harness import dialogs, gui
from tests.slicer_extension.played.case import SECONDS

# === Retraining ===


def test_retraining_shows_its_progress_and_can_be_stopped(connected, played):
    played.new_corrections = 1
    connected.panel.context.overview_stale = True
    connected.wait(lambda: connected.ui.retrainButton.enabled, SECONDS)
    connected.type("epochsSpin", "3")
    connected.click("retrainButton")
    connected.wait(lambda: connected.panel.state().training, SECONDS)
    assert played.trained_with is not None
    assert played.trained_with["max_epochs"] == 3
    connected.wait(lambda: "Epoch 2 of 4" in connected.ui.trainingText.text, SECONDS)
    assert not connected.ui.retrainButton.enabled
    dialogs.answer("Ok")
    connected.click("stopButton")
    connected.wait(lambda: "stopped" in connected.ui.resultText.text, SECONDS)
    assert not connected.ui.stopButton.enabled


def test_a_promotion_is_taken_back_when_the_clinician_confirms(connected, played):
    played.versions[:] = [{"id": "v0001", "current": False}, {"id": "v0002", "current": True, "parent": "v0001"}]
    connected.wait(lambda: connected.ui.rollbackButton.enabled, SECONDS)
    dialogs.answer("Cancel")
    connected.click("rollbackButton")
    assert not any("rollback" in asked for asked in played.asked)
    dialogs.answer("Ok")
    connected.click("rollbackButton")
    connected.wait(lambda: "v0001 is now in use" in connected.status, SECONDS)
    connected.wait(lambda: connected.table("versionsTable")[1][0] == "v0001 (in use)", SECONDS)


# === The scene ===


def test_closing_the_scene_while_the_server_computes_leaves_a_panel_that_can_go_on(connected, played):
    holding = [True]
    played.hold = lambda: holding[0]
    connected.click("segmentButton")
    connected.wait(lambda: "POST" in played.asked[-1], SECONDS)
    slicer.mrmlScene.Clear()
    assert not connected.panel.context.jobs.running("segment")
    holding[0] = False
    gui.process_events(0.5)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert not connected.ui.segmentButton.enabled
    assert "Choose the four volumes" in connected.ui.segmentReason.text


def test_the_editor_lets_go_of_the_scene_before_it_is_closed(connected):
    connected.segment()
    seen = []

    def look(_scene, _event):
        seen.append((connected.ui.editor.segmentationNode(), connected.ui.editor.mrmlSegmentEditorNode()))

    tag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.StartCloseEvent, look)
    slicer.mrmlScene.Clear()
    slicer.mrmlScene.RemoveObserver(tag)
    assert seen == [(None, None)]
