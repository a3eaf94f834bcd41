"""A test can do what a user can, and nothing else; a question needs an answer, and an answer its question."""

import pytest

from tests.slicer_extension.harness import desktop as desktops
from tests.slicer_extension.harness import dialogs, failures, gui


def window(*widgets):
    import qt

    top = qt.QWidget()
    rows = qt.QVBoxLayout(top)
    for widget in widgets:
        rows.addWidget(widget)
    top.show()
    gui.process_events()
    return top


def test_what_a_user_cannot_click_or_type_into_fails(desktop):
    import qt

    disabled, hidden, covered, inside = (qt.QPushButton(name) for name in ("disabled", "hidden", "covered", "inside"))
    group, edit = qt.QGroupBox(), qt.QLineEdit()
    qt.QVBoxLayout(group).addWidget(inside)
    top = window(disabled, hidden, covered, group, edit)
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


def test_a_question_that_the_test_does_not_answer_fails_it(desktop):
    import qt
    import slicer

    with failures.expect("the test has no answer to it"):
        assert slicer.util.confirmYesNoDisplay("Send?") is False
        assert qt.QFileDialog.getExistingDirectory(None, "Case") == ""
    dialogs.answer("Maybe")
    with pytest.raises(AssertionError, match="no button 'Maybe', only Yes, No"):
        slicer.util.confirmYesNoDisplay("Send?")


def test_an_answer_without_a_question_fails_the_test():
    with pytest.raises(AssertionError, match="no dialog asked for"), desktops.running():
        dialogs.answer("Yes")
