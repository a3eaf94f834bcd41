"""The module with Qt's widgets: its life cycle, what only real widgets have, and the whole loop by mouse."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import slicer
from TumorLoopLib.scene.roles import ROLES

from tests.server_app.conftest import voxels
from tests.slicer_extension.harness import gui
from tests.slicer_extension.panel.conftest import BOX, labels_of, make_case
from tests.slicer_extension.panel.user import QtUser
from tests.slicer_extension.real_server import CASES


@pytest.fixture
def qt_connected(qt_user, server):
    """A user with four volumes and a server."""
    make_case()
    qt_user.connect(server.url)
    qt_user.click("recognizeButton")
    return qt_user


@pytest.fixture
def library():
    """Restores the library that other tests have imported; *Reload* makes a new one."""
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "TumorLoopLib"}
    yield before
    sys.modules.update(before)


def test_reloading_the_module_leaves_one_panel_that_works(qt_connected, library):
    qt_connected.segment()
    qt_connected.type("commentEdit", "not done yet")
    old = qt_connected.panel
    qt_connected.widget.onReload()
    gui.process_events(0.3)
    new = QtUser(slicer.modules.TumorLoopWidget)
    assert new.panel is not old
    assert type(new.panel) is not type(old), "the library was not loaded anew"
    assert not old._timer.active
    assert new.ui.commentEdit.text == "not done yet"
    assert new.parameters.segmentation is not None
    new.wait(lambda: new.panel.state().connected, 20)
    new.segment()


def test_the_self_test_that_users_can_run_passes(qt_user):
    slicer.selfTests["TumorLoop"]()


def test_the_selectors_and_keys_work(qt_connected):
    user = qt_connected
    for number, role in enumerate(ROLES, start=1):
        user.press(str(number))
        node = getattr(user.ui, f"{role}Selector").currentNode()
        shown = {one.GetBackgroundVolumeID() for one in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}
        assert shown == {node.GetID()} == {getattr(user.parameters, role).GetID()}
    user.widget.exit()
    user.press("1")
    assert shown == {one.GetBackgroundVolumeID() for one in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}


def test_the_segment_editor_leaves_the_slice_views_to_the_panel(qt_connected):
    user = qt_connected
    user.segment()
    user.press("4")
    slicer.app.layoutManager().setLayout(3)
    shown = {one.GetBackgroundVolumeID() for one in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}
    assert shown == {user.parameters.flair.GetID()}


@pytest.mark.parametrize(("field", "parameter"), [("commentEdit", "comment"), ("caseIdEdit", "case_id")])
def test_a_text_can_be_corrected_in_its_middle(qt_connected, field, parameter):
    qt_connected.segment()
    qt_connected.type(field, "mre rim")
    edit = getattr(qt_connected.ui, field)
    for key in ("Home", "Right", "o"):
        qt_connected.press(key, edit)
    assert edit.text == getattr(qt_connected.parameters, parameter) == "more rim"
    assert edit.cursorPosition == 2


def test_a_selected_row_stays_selected_if_it_is_still_in_the_table(qt_user):
    qt_user.panel.context.on_change = lambda: None  # otherwise the panel fills it
    table = qt_user.panel.retrain._table
    table.fill([["a"] * 4, ["b"] * 4], ["v1", "v2"])
    qt_user.ui.versionsTable.selectRow(1)
    assert table.chosen == "v2"
    table.fill([["c"] * 4, ["b"] * 4, ["a"] * 4], ["v3", "v2", "v1"])
    assert table.chosen == "v2"
    table.fill([["a"] * 4], ["v1"])
    assert table.chosen == ""


def test_the_whole_loop(qt_user, real_server, real_studies):
    user = qt_user
    user.connect(real_server.url)
    assert user.tone == "good"
    user.load_folder(real_studies / CASES[3])
    segmentation = user.segment()
    assert "Correct it" in user.status
    user.paint(3, BOX)
    user.wait(lambda: "differ" in user.ui.changesText.text, 20)

    user.type("caseIdEdit", "whole-loop")
    user.type("commentEdit", "painted a box")
    user.submit()
    assert user.tone == "good", user.status
    assert [row[0] for row in user.table("historyTable")] == ["v0001"]
    user.open_section_of("historyTable")
    user.ui.historyTable.selectRow(0)
    assert user.panel.state().chosen_label == "v0001"
    stored = voxels(real_server.workspace / "labels" / "whole-loop" / "v0001" / "label.nii.gz").transpose(2, 1, 0)
    assert np.array_equal(stored, labels_of(segmentation, user.parameters.t1ce))

    user.wait(lambda: user.ui.retrainButton.enabled, 20, user.ui.retrainReason.text)
    user.type("epochsSpin", "2")
    user.click("retrainButton")
    user.wait(lambda: user.panel.state().training, 60)
    user.wait(lambda: "Mean Dice" in user.ui.resultText.text, 300, "the comparison of old and new")
    assert user.ui.curveLabel.visible
    assert len(user.table("versionsTable")) == 2
