"""Saving, closing and loading scenes, reloading the module, and what another panel does on the same server."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
import slicer

from tests.slicer_extension.harness import dialogs, gui
from tests.slicer_extension.played.case import SECONDS, labels_of
from tests.slicer_extension.played.conftest import case, connected, played
from tests.slicer_extension.played.server import Label

__all__ = ["case", "connected", "played"]

BOX = (slice(2, 5), slice(3, 9), slice(4, 8))


@pytest.fixture
def corrected(connected):
    """A clinician in the middle of a correction."""
    connected.segment()
    connected.paint(3, BOX)
    connected.type("caseIdEdit", "in-the-middle")
    connected.type("commentEdit", "not done yet")
    connected.click("finalCheck")
    connected.wait(lambda: "differ" in connected.ui.changesText.text, SECONDS)
    return connected


def test_a_saved_scene_brings_all_of_it_back(corrected, played, tmp_path):
    user, path = corrected, tmp_path / "scene.mrb"
    before = labels_of(user.parameters.segmentation, user.parameters.t1ce)
    table, changes = user.table("regionTable"), user.ui.changesText.text
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear()
    gui.process_events(0.3)
    assert user.parameters.segmentation is None
    assert user.ui.commentEdit.text == ""
    slicer.util.loadScene(str(path))
    user.wait(lambda: user.ui.changesText.text == changes, SECONDS, "the comparison with the model's answer")
    assert user.table("regionTable") == table
    assert np.array_equal(labels_of(user.parameters.segmentation, user.parameters.t1ce), before)
    assert user.ui.t1ceSelector.currentNode().GetName() == "AX T1 POST GD"
    assert user.ui.editor.segmentationNode() is user.parameters.segmentation
    assert (user.ui.caseIdEdit.text, user.ui.commentEdit.text) == ("in-the-middle", "not done yet")
    assert not user.ui.finalCheck.checked
    assert user.parameters.model_version == "v0001"
    user.submit()
    assert user.tone == "good", user.status
    label = played.labels["in-the-middle"][0]
    assert label.tag == "draft"
    assert np.array_equal(label.image.array, before)


def test_a_scene_can_be_closed_in_the_middle_and_the_next_case_begins_clean(corrected):
    user = corrected
    slicer.mrmlScene.Clear()
    gui.process_events(0.3)
    assert user.ui.caseIdEdit.text == ""
    assert user.ui.finalCheck.checked
    assert user.table("regionTable") == []
    assert user.table("historyTable") == []
    assert not user.ui.submitButton.enabled
    assert user.ui.editor.segmentationNode() is None
    assert user.panel.state().connected


def test_closing_the_scene_before_a_label_is_sent_says_that_it_was_not(corrected, played):
    user = corrected
    user.click("submitButton")
    slicer.mrmlScene.Clear()
    gui.process_events(0.5)
    assert "Nothing was submitted" in user.status
    assert user.panel.context.history == []
    assert played.labels == {}


@pytest.fixture
def library():
    """Puts the library back that other tests have imported; *Reload* makes a new one."""
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "TumorLoopLib"}
    yield before
    sys.modules.update(before)


def test_reloading_the_module_leaves_one_panel_that_works(corrected, played, library):
    from tests.slicer_extension.panel.user import User

    old = corrected.panel
    corrected.widget.onReload()
    gui.process_events(0.3)
    new = User(slicer.modules.TumorLoopWidget)
    assert new.panel is not old
    assert type(new.panel) is not type(old), "the library was not loaded anew"
    assert not old._timer.active
    assert new.ui.commentEdit.text == "not done yet"
    assert new.parameters.segmentation is not None
    new.wait(lambda: new.panel.state().connected, SECONDS)
    new.segment()


def test_the_self_test_that_clinicians_can_run_passes(connected):
    slicer.selfTests["TumorLoop"]()
    assert connected.ui.segmentButton is not None


def test_an_earlier_label_comes_back_as_a_new_segmentation(corrected, played):
    user = corrected
    user.submit()
    first = labels_of(user.parameters.segmentation, user.parameters.t1ce)
    submitted = user.parameters.segmentation
    user.paint(2, (slice(10, 13), slice(3, 9), slice(4, 8)))
    user.open_section_of("historyTable")
    user.ui.historyTable.selectRow(0)
    user.click("loadLabelButton")
    user.wait_idle()
    assert user.parameters.segmentation is not submitted
    assert user.parameters.segmentation.GetName() == "in-the-middle v0001"
    assert np.array_equal(labels_of(user.parameters.segmentation, user.parameters.t1ce), first)
    assert slicer.mrmlScene.GetNodeByID(submitted.GetID()) is submitted


def test_what_another_panel_does_is_seen_here(corrected, played):
    user = corrected
    user.submit()
    image = played.labels["in-the-middle"][0].image
    played.labels["in-the-middle"].append(Label(image, {"client_id": "colleague", "status": "final"}, "final", "v0002"))
    played.new_corrections = 2
    played.training = {"run": "theirs", "state": "training", "epoch": 0, "total_epochs": 2, "history": []}
    user.wait(lambda: user.panel.state().training, SECONDS, "the other panel's training")
    assert user.ui.stopButton.enabled
    assert not user.ui.retrainButton.enabled
    played.training = {**played.training, "state": "done", "version": "v0002", "promoted": True, "verdict": "Promoted."}
    played.versions[:] = [{"id": "v0001", "current": False}, {"id": "v0002", "current": True, "parent": "v0001"}]
    user.wait(lambda: "v0002 is now in use" in user.status, SECONDS)
    user.wait(lambda: user.table("versionsTable")[0][0] == "v0002 (in use)", SECONDS)
    user.paint(1, BOX)
    user.submit()
    assert [row[0] for row in user.table("historyTable")] == ["v0003", "v0002", "v0001"]
    assert user.table("historyTable")[1][1] == "colleague"


def test_a_correction_stays_open_while_somebody_else_trains(corrected, played):
    user = corrected
    played.training = {"run": "theirs", "state": "training", "epoch": 0, "total_epochs": 2, "history": []}
    user.wait(lambda: user.panel.state().training, SECONDS)
    assert not user.ui.correctSection.collapsed
    assert not user.ui.submitSection.collapsed


def test_an_empty_segmentation_is_submitted_only_when_it_is_meant(connected, played):
    user = connected
    user.segment()
    user.paint(0, (slice(None), slice(None), slice(None)))
    user.type("caseIdEdit", "no-tumor")
    dialogs.answer("Cancel")
    user.submit()
    assert "Nothing was submitted." in user.status
    assert "no-tumor" not in played.labels
    dialogs.answer("Ok")
    user.submit()
    assert played.labels["no-tumor"][0].params["allow_empty"] is True
    assert not played.labels["no-tumor"][0].image.array.any()


def test_a_missing_volume_is_never_taken_from_the_case_before(user, panel_studies, tmp_path):
    user.load_folder(panel_studies / "P001")
    second = tmp_path / "P002"
    second.mkdir()
    for role in ("t1", "t1ce", "flair"):
        shutil.copy(panel_studies / "P002" / f"P002_{role}.nii.gz", second)
    dialogs.choose_path(str(second))
    user.click("folderButton")
    user.wait_idle()
    gui.process_events(0.5)
    assert "Not found: T2" in user.status
    assert user.ui.t2Selector.currentNode() is None
    assert user.parameters.t1.GetName().startswith("P002_t1")
    assert user.panel.state().volumes_problem.startswith("Missing: T2")
