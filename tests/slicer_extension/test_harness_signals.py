"""Signals connect by their text as in PythonQt; unknown ones and exceptions in slots fail, where PythonQt prints."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.slicer_extension.harness import faults


@pytest.mark.parametrize("signal", ["clickd(bool)", "clicked", "clicked(int)", "clicked(bool, bool)", ""])
def test_connecting_an_unknown_signal_fails(desktop: Any, signal: str) -> None:
    import qt

    with pytest.raises(AttributeError, match="QPushButton has no signal"):
        qt.QPushButton().connect(signal, print)


def test_connecting_something_that_cannot_be_called_fails(desktop: Any) -> None:
    import qt

    with pytest.raises(TypeError, match="not callable"):
        qt.QPushButton().connect("clicked()", None)


def test_a_signal_passes_as_many_arguments_as_the_slot_takes(desktop: Any) -> None:
    import qt

    button = qt.QPushButton()
    got: list[Any] = []
    button.checkable = True
    button.connect("clicked(bool)", lambda: got.append("none"))
    button.connect("clicked(bool)", lambda on: got.append(on))
    button.connect("clicked(bool)", lambda *all_: got.append(all_))
    button.connect("clicked(bool)", partial(got.append))

    button.click()

    assert got == ["none", True, (True,), True]


def test_a_slot_that_takes_more_than_the_signal_has_is_a_fault(desktop: Any) -> None:
    import qt

    button = qt.QPushButton()
    button.connect("clicked()", lambda on: None)

    with faults.expect("missing 1 required positional argument"):
        button.click()


def test_an_exception_in_a_slot_fails_the_test_and_the_next_slot_still_runs(desktop: Any) -> None:
    import qt

    button = qt.QPushButton()
    ran: list[bool] = []
    button.connect("clicked()", lambda: 1 / 0)
    button.connect("clicked()", lambda: ran.append(True))

    with faults.expect("ZeroDivisionError"):
        button.click()

    assert ran == [True]


def test_an_exception_in_a_paint_event_fails_the_test(desktop: Any) -> None:
    import qt

    class Broken(qt.QWidget):
        def paintEvent(self, event: Any) -> None:
            raise ValueError("cannot paint")

    with pytest.raises(ValueError, match="cannot paint"):
        Broken().grab()


def test_disconnecting_ends_the_right_connection(desktop: Any) -> None:
    import qt

    button = qt.QPushButton()
    got: list[Any] = []

    def first() -> None:
        got.append("first")

    def second() -> None:
        got.append("second")

    button.connect("clicked()", first)
    button.connect("clicked()", second)

    assert button.disconnect("clicked()", first) is True
    assert button.disconnect("clicked()", first) is False
    button.click()

    assert got == ["second"]
    with pytest.raises(AttributeError, match="no signal"):
        button.disconnect("clickd()", second)


def test_a_bound_method_can_be_disconnected(desktop: Any) -> None:
    import qt

    class Panel:
        def __init__(self) -> None:
            self.clicks = 0

        def on_click(self) -> None:
            self.clicks += 1

    panel, button = Panel(), qt.QPushButton()
    button.connect("clicked()", panel.on_click)
    button.click()
    button.disconnect("clicked()", panel.on_click)
    button.click()

    assert panel.clicks == 1


def test_signals_connect_to_slots_of_other_objects(desktop: Any) -> None:
    import qt

    box, edit, other = qt.QCheckBox(), qt.QLineEdit(), qt.QLineEdit()
    box.connect("toggled(bool)", edit, "setEnabled(bool)")
    edit.connect("textChanged(QString)", other.setText)
    edit.text = "copied"

    box.checked = True
    box.checked = False

    assert edit.enabled is False
    assert other.text == "copied"
    with pytest.raises(AttributeError, match="setEnabledd"):
        box.connect("toggled(bool)", edit, "setEnabledd(bool)")


def test_a_signal_is_an_object_that_connects_and_emits_when_called(desktop: Any) -> None:
    import qt

    button = qt.QPushButton()
    got: list[Any] = []
    button.clicked.connect(got.append)

    button.clicked(True)

    assert got == [True]
    with pytest.raises(AttributeError):
        button.clicked.emit(True)


def test_blocked_signals_are_not_sent(desktop: Any) -> None:
    import qt
    import slicer

    edit, combo = qt.QLineEdit(), slicer.qMRMLNodeComboBox()
    got: list[Any] = []
    for widget, signal in ((edit, "textChanged(QString)"), (combo, "currentNodeChanged(vtkMRMLNode*)")):
        widget.connect(signal, got.append)
        widget.blockSignals(True)

    edit.text = "x"
    combo.nodeTypes = ["vtkMRMLTextNode"]
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    combo.setMRMLScene(slicer.mrmlScene)

    assert combo.currentNode() is not None
    assert got == []


def test_a_timer_runs_and_stops(desktop: Any) -> None:
    import qt

    from tests.slicer_extension.harness import driver

    timer, ticks, once = qt.QTimer(), [], []
    timer.interval = 5
    timer.connect("timeout()", lambda: ticks.append(1))
    timer.start()
    qt.QTimer.singleShot(0, lambda: once.append(1))
    driver.wait_until(lambda: len(ticks) > 2, 5)
    timer.stop()
    count = len(ticks)
    driver.spin(0.05)

    assert once == [1]
    assert len(ticks) == count
    assert timer.active is False


def test_an_exception_in_a_single_shot_fails_the_test(desktop: Any) -> None:
    import qt

    from tests.slicer_extension.harness import driver

    with faults.expect("late"):
        qt.QTimer.singleShot(0, lambda: dict[str, int]()["late"])
        driver.spin(0.02)
