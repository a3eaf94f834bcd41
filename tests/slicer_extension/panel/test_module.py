"""The module with Qt's widgets: its life cycle, and what only real widgets have."""

import sys

import pytest
import slicer
from TumorLoopLib.scene.roles import ROLES

from tests.slicer_extension.harness import gui
from tests.slicer_extension.panel.conftest import make_case, shown_volumes
from tests.slicer_extension.panel.user import QtUser


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
    yield
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


def test_effects_of_modules_that_are_loaded_later_are_offered_until_the_panel_is_gone(qt_user):
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    factory, editor = effects.qSlicerSegmentEditorEffectFactory().instance(), qt_user.ui.editor
    factory.registerEffect("Draw tube")
    assert editor.effectByName("Draw tube")
    qt_user.panel.cleanup()
    factory.registerEffect("Wrap")
    assert not editor.effectByName("Wrap")


def test_the_keys_change_what_the_views_show_and_the_segment_editor_does_not(qt_connected):
    user = qt_connected
    user.segment()
    for number, role in enumerate(ROLES, start=1):
        user.press(str(number))
        node = getattr(user.ui, f"{role}Selector").currentNode()
        assert shown_volumes() == {node.GetID()} == {getattr(user.parameters, role).GetID()}
    slicer.app.layoutManager().setLayout(3)
    assert shown_volumes() == {user.parameters.flair.GetID()}
    user.widget.exit()
    user.press("1")
    assert shown_volumes() == {user.parameters.flair.GetID()}


def test_a_text_can_be_corrected_in_its_middle(qt_connected):
    qt_connected.segment()
    for field, parameter in (("commentEdit", "comment"), ("caseIdEdit", "case_id")):
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
