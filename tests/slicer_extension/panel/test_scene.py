"""Saving, closing and loading scenes, and errors in one part of the panel."""

import gc
import threading
import weakref

import numpy as np
import slicer
from TumorLoopLib.panel.observers import Observers
from TumorLoopLib.panel.state import OVERVIEW

from tests.slicer_extension.panel.conftest import labels_of


def test_a_saved_scene_brings_all_of_it_back(corrected, server, tmp_path):
    user, path, before = corrected, tmp_path / "scene.mrb", labels_of(corrected)
    table, changes = user.table("regionTable"), user.ui.changesText.text
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear()
    user.run(0.3)
    assert (user.parameters.segmentation, user.ui.commentEdit.text) == (None, "")
    slicer.util.loadScene(str(path))
    user.wait_for_changes(changes, 20)
    assert user.table("regionTable") == table
    assert np.array_equal(labels_of(user), before)
    assert user.ui.t1ceSelector.currentNode().GetName() == "AX T1 POST GD"
    assert user.ui.editor.segmentationNode() is user.parameters.segmentation
    assert (user.ui.caseIdEdit.text, user.ui.commentEdit.text) == ("in-the-middle", "not done yet")
    assert (user.ui.finalCheck.checked, user.parameters.model_version) == (False, "v0001")
    user.submit()
    assert user.tone == "good", user.status
    label = server.labels["in-the-middle"][0]
    assert label.tag == "draft"
    assert np.array_equal(label.image.array, before)


def test_the_next_case_begins_clean_after_a_scene_was_closed(corrected):
    user, scene, seen = corrected, slicer.mrmlScene, []
    editor = user.ui.editor
    scene.AddObserver(
        scene.StartCloseEvent, lambda *_: seen.append((editor.segmentationNode(), editor.mrmlSegmentEditorNode()))
    )
    scene.Clear()
    user.run(0.3)
    assert seen == [(None, None)], "the editor must let go of the scene before it is closed"
    assert editor.segmentationNode() is None
    assert (user.ui.caseIdEdit.text, user.ui.finalCheck.checked) == ("", True)
    assert user.table("regionTable") == user.table("historyTable") == []
    assert not user.ui.submitButton.enabled
    assert user.panel.state().connected


def test_closing_the_scene_during_an_inference_cancels_it_and_the_panel_goes_on(inferring, server):
    slicer.mrmlScene.Clear()
    assert not inferring.panel.context.jobs.running("segment")
    assert "cancelled" in inferring.status
    assert inferring.tone != "busy"
    server.may_infer.set()
    inferring.run(0.5)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert not inferring.ui.segmentButton.enabled
    assert "Choose the four volumes" in inferring.ui.segmentReason.text


def test_when_the_scene_is_closed_requests_about_the_server_go_on_and_destroyed_widgets_are_not_touched(connected):
    class Destroyed:
        def property(self, name):
            raise ValueError(f"Trying to call 'property' on a destroyed QToolButton object ({name})")

    results: list[bool] = []
    gate, context = threading.Event(), connected.panel.context
    connected.wait(lambda: not context.jobs.running(OVERVIEW))
    context.run(OVERVIEW, lambda reporter: gate.wait(20), results.append, failure="")
    connected.ui.gone = Destroyed()
    slicer.mrmlScene.Clear()
    gate.set()
    connected.wait(lambda: results == [True])
    connected.run(0.3)
    connected.type("caseIdEdit", "typed")
    assert connected.parameters.case_id == "typed"


def test_another_module_gets_the_views_and_the_keys_and_a_saved_effect_is_not_active_again(segmented):
    editor, shortcuts = segmented.ui.editor, segmented.panel.correct.shortcuts
    editor.setActiveEffect("Paint")
    segmented.panel.exit()
    assert (editor.activeEffect(), editor.observes_views, shortcuts.enabled) == (None, False, False)
    segmented.panel.enter()
    assert (editor.observes_views, shortcuts.enabled) == (True, True)
    node = editor.mrmlSegmentEditorNode()
    slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.StartImportEvent)
    node.SetActiveEffectName("Paint")
    segmented.wait(lambda: segmented.parameters is not None)
    assert editor.mrmlSegmentEditorNode() is node
    assert node.GetActiveEffectName() == ""


def test_an_error_in_one_section_is_shown_and_the_others_go_on(user, server, monkeypatch, logged_errors, caplog):
    def fail(*_state):
        raise KeyError("a mistake")

    monkeypatch.setattr(user.panel.server, "tick", fail)
    monkeypatch.setattr(user.panel.server, "show", fail)
    user.type("addressCombo", server.url)
    user.wait(lambda: user.panel.context.overview is not None, what="the ticks of the sections after it")
    assert user.ui.sampleButton.enabled
    assert "An error in the panel: 'a mistake'" in user.status
    assert logged_errors() == ["An error in the panel"]
    caplog.clear()


def test_an_object_that_is_no_longer_observed_is_not_kept(scene):
    observers, segmentation = Observers(), slicer.vtkSegmentation()
    observers.add(segmentation, segmentation.SegmentAdded, lambda caller, event: None)
    observers.remove()
    assert not segmentation.HasObserver(segmentation.SegmentAdded)
    kept = weakref.ref(segmentation)
    del segmentation
    gc.collect()
    assert kept() is None
