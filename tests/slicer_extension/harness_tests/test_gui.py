import pytest
import slicer

from tests.slicer_extension.harness import desktop as desktops
from tests.slicer_extension.harness import dialogs, gui
from tests.slicer_extension.harness_tests import failing


def test_what_a_user_cannot_click_or_type_into_fails(qt):
    disabled, hidden, covered, inside = (qt.QPushButton(name) for name in ("disabled", "hidden", "covered", "inside"))
    top, group, edit = qt.QWidget(), qt.QGroupBox(), qt.QLineEdit()
    qt.QVBoxLayout(group).addWidget(inside)
    rows = qt.QVBoxLayout(top)
    for widget in (disabled, hidden, covered, group, edit):
        rows.addWidget(widget)
    top.show()
    disabled.enabled = hidden.visible = group.visible = False
    edit.readOnly = True
    gui.process_events()
    lid = qt.QLabel("lid", top)
    lid.setGeometry(covered.geometry)
    lid.show()
    reasons = {disabled: "disabled", hidden: "hidden", covered: "covered by QLabel", inside: "hidden"}
    for button, reason in reasons.items():
        with pytest.raises(gui.CannotReach, match=reason):
            gui.click(button)
    with pytest.raises(gui.CannotReach, match="read-only"):
        gui.type_into(edit, "x")


def test_a_dialog_that_the_test_does_not_answer_fails_it(qt):
    with failing("'Send.' was shown(?s:.*)'Case' was shown"):
        assert slicer.util.confirmOkCancelDisplay("Send?") is False
        assert qt.QFileDialog.getExistingDirectory(None, "Case") == ""


def test_an_answer_without_a_dialog_fails_the_test():
    with pytest.raises(AssertionError, match="no dialog asked for"), desktops.running():
        dialogs.choose_path("/data")
