"""The harness's hands: they can do what a user can, and nothing else; what keeps the user waiting is recorded."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.slicer_extension.harness import desktop as desktops
from tests.slicer_extension.harness import dialogs, driver, faults, watchdog


def _window(*widgets: Any) -> Any:
    import qt

    top = qt.QWidget()
    rows = qt.QVBoxLayout(top)
    for widget in widgets:
        rows.addWidget(widget)
    top.show()
    driver.spin()
    return top


def _counting(text: str = "Go") -> tuple[Any, list[int]]:
    import qt

    button, clicks = qt.QPushButton(text), []
    button.connect("clicked()", lambda: clicks.append(1))
    return button, clicks


def test_a_click_is_a_click(desktop: Any) -> None:
    import qt

    button, clicks = _counting()
    box = qt.QCheckBox("A rather long text beside the mark")
    top = _window(button, box)

    driver.click(button)
    driver.click(box)

    assert clicks == [1]
    assert box.checked
    assert top.visible


def test_what_a_user_cannot_click_fails(desktop: Any) -> None:
    import qt

    disabled, hidden, covered, inside = (qt.QPushButton(name) for name in ("disabled", "hidden", "covered", "inside"))
    group = qt.QGroupBox()
    qt.QVBoxLayout(group).addWidget(inside)
    top = _window(disabled, hidden, covered, group)
    disabled.enabled = False
    hidden.visible = False
    group.hide()
    driver.spin()
    lid = qt.QLabel("lid", top)
    lid.setGeometry(covered.geometry)
    lid.show()

    for button, reason in (
        (disabled, "disabled"), (hidden, "hidden"), (covered, "covered by QLabel"), (inside, "because QGroupBox"),
    ):  # fmt: skip
        with pytest.raises(driver.CannotReach, match=reason):
            driver.click(button)


def test_a_widget_in_a_scrolled_area_is_scrolled_to(desktop: Any) -> None:
    import qt

    button, clicks = _counting()
    inner = qt.QWidget()
    rows = qt.QVBoxLayout(inner)
    for number in range(60):
        rows.addWidget(qt.QLabel(str(number)))
    rows.addWidget(button)
    area = qt.QScrollArea()
    area.setWidget(inner)
    top = _window(area)
    top.resize(200, 200)
    driver.spin()

    driver.click(button)

    assert clicks == [1]


def test_typing_arrives_key_by_key_and_return_ends_it(desktop: Any) -> None:
    import qt

    edit = qt.QLineEdit("old")
    texts: list[str] = []
    ends: list[int] = []
    edit.connect("textEdited(QString)", texts.append)
    edit.connect("returnPressed()", lambda: ends.append(1))
    top = _window(edit)

    driver.type_into(edit, "new", enter=True)

    assert edit.text == "new"
    assert texts == ["", "n", "ne", "new"]
    assert ends == [1]
    edit.readOnly = True
    with pytest.raises(driver.CannotReach, match="read-only"):
        driver.type_into(edit, "x")
    assert top.visible


def test_choosing_an_item_that_is_not_there_names_those_that_are(desktop: Any) -> None:
    import qt

    combo = qt.QComboBox()
    chosen: list[int] = []
    combo.addItems(["one", "two"])
    combo.connect("activated(int)", chosen.append)
    top = _window(combo)

    driver.choose(combo, "two")
    with pytest.raises(driver.CannotReach, match=r"\['one', 'two'\]"):
        driver.choose(combo, "three")

    assert combo.currentText == "two"
    assert chosen == [1]
    assert top.visible


def test_keys_reach_shortcuts_unless_they_are_off(desktop: Any) -> None:
    import qt

    top = _window(qt.QLabel("x"))
    pressed: list[str] = []
    for keys in ("1", "Ctrl+Z"):
        shortcut = qt.QShortcut(qt.QKeySequence(keys), top)
        shortcut.connect("activated()", lambda keys=keys: pressed.append(keys))

    driver.press("1", top)
    driver.press("Ctrl+Z", top)
    shortcut.enabled = False
    driver.press("Ctrl+Z", top)

    assert pressed == ["1", "Ctrl+Z"]


def test_a_key_typed_into_a_field_is_text_and_no_shortcut(desktop: Any) -> None:
    import qt

    edit = qt.QLineEdit()
    top = _window(edit)
    pressed: list[int] = []
    shortcut = qt.QShortcut(qt.QKeySequence("1"), top)
    shortcut.connect("activated()", lambda: pressed.append(1))

    driver.type_into(edit, "21")

    assert edit.text == "21"
    assert pressed == []


def test_waiting_ends_when_it_happens_and_fails_when_it_does_not(desktop: Any) -> None:
    import qt

    done: list[int] = []
    qt.QTimer.singleShot(20, lambda: done.append(1))

    assert driver.wait_until(lambda: done, 5) == [1]
    with pytest.raises(AssertionError, match=r"the answer did not happen within 0\.05 s"):
        driver.wait_until(lambda: False, 0.05, "the answer")


def test_messages_are_recorded_and_questions_answered(desktop: Any) -> None:
    import slicer

    dialogs.answer("No")
    dialogs.answer("Ok")

    slicer.util.errorDisplay("The server is gone.", detailedText="trace")
    assert slicer.util.confirmYesNoDisplay("Send?", windowTitle="Consent") is False
    assert slicer.util.confirmOkCancelDisplay("Really?") is True

    error, question, _ = dialogs.shown
    assert (error.text, error.icon, error.details) == ("The server is gone.", "Critical", "trace")
    assert (question.title, question.text, question.buttons, question.answer) == (
        "Consent", "Send?", ("Yes", "No"), "No",
    )  # fmt: skip


def test_an_error_in_a_guarded_block_is_shown_and_goes_on(desktop: Any) -> None:
    import slicer

    with pytest.raises(ValueError, match="bad"), slicer.util.tryWithErrorDisplay("It failed.", waitCursor=True):
        raise ValueError("bad")

    assert dialogs.shown[0].text == "It failed.\n\nbad"


def test_a_question_that_the_test_does_not_answer_fails_it(desktop: Any) -> None:
    import qt
    import slicer

    with faults.expect("the test says no answer"):
        assert slicer.util.confirmYesNoDisplay("Send?") is False
    with faults.expect("the test says no answer"):
        assert qt.QFileDialog.getExistingDirectory(None, "Case") == ""


def test_an_answer_with_a_button_that_is_not_there_fails(desktop: Any) -> None:
    import slicer

    dialogs.answer("Maybe")
    with pytest.raises(AssertionError, match="no button 'Maybe', only Yes, No"):
        slicer.util.confirmYesNoDisplay("Send?")


def test_an_answer_that_nobody_asked_for_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="no dialog asked for"), desktops.running():
        dialogs.answer("Yes")


def _click_what_raises() -> None:
    button, _ = _counting()
    button.connect("clicked()", lambda: 1 / 0)
    button.click()


def test_a_fault_fails_the_test_at_its_end() -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"), desktops.running():
        _click_what_raises()


def test_a_slow_slot_is_recorded_with_the_line_it_was_at(desktop: Any) -> None:
    button, _ = _counting()
    button.connect("clicked()", lambda: time.sleep(0.25))
    top = _window(button)
    watchdog.take()

    driver.click(button)

    (block,) = watchdog.take()
    assert block.what == "click on QPushButton ('Go')"
    assert block.seconds > 0.2 > block.cpu_seconds
    assert "time.sleep(0.25)" in block.where
    assert top.visible


def test_time_in_which_other_programs_run_does_not_count(desktop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Scheduler:
        """Says that all the time since the last look was spent waiting for the processor."""

        def __init__(self) -> None:
            self.first = time.perf_counter()

        def read_text(self) -> str:
            return f"0 {int((time.perf_counter() - self.first) * 1e9)} 1"

    monkeypatch.setattr(watchdog, "_SCHEDULER", Scheduler())
    watchdog.take()
    with watchdog.section("crowded out"):
        time.sleep(0.2)

    assert watchdog.take() == []


def test_a_slow_timer_is_recorded_and_a_quick_one_is_not(desktop: Any) -> None:
    import qt

    driver.spin()
    watchdog.take()
    qt.QTimer.singleShot(0, lambda: None)
    driver.spin(0.02)
    quick = [block for block in watchdog.take() if block.cpu_seconds > watchdog.LIMIT]
    qt.QTimer.singleShot(0, lambda: time.sleep(0.2))
    driver.spin(0.02)

    assert quick == []
    assert any("timeout()" in block.what for block in watchdog.take())
