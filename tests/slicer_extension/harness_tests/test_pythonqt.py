"""Qt objects behave like PythonQt's: what fails in Slicer fails here, and what PythonQt only prints fails, too."""

import re
import threading

import pytest

from tests.slicer_extension.extension import EXTENSION
from tests.slicer_extension.harness import failures, gui

_SOURCES = sorted(EXTENSION.rglob("*.py"))
_QT6_ENUM = re.compile(r"\bqt\.Q\w*\.[A-Z]\w*\.[A-Z]\w*")


@pytest.fixture
def qt(desktop):
    import qt

    return qt


# === Attributes ===


def test_properties_are_attributes_and_convert_as_in_pythonqt(qt):
    label, box = qt.QLabel("first"), qt.QSpinBox()
    label.text, box.value = 5, 4.9
    label.alignment = qt.Qt.AlignRight | qt.Qt.AlignVCenter
    assert (label.text, box.value, box.maximum) == ("5", 4, 99)
    assert label.alignment == qt.Qt.AlignRight | qt.Qt.AlignVCenter
    label.setProperty("tone", "good")
    label.tone = "bad"
    assert label.property("tone") == "bad"


@pytest.mark.parametrize(
    ("misuse", "error", "message"),
    [
        (lambda qt: qt.QLabel("x").text(), TypeError, "'str' object is not callable"),
        (lambda qt: setattr(qt.QLabel(), "text", None), TypeError, "does not accept None"),
        (lambda qt: setattr(qt.QLabel(), "text", ["a"]), TypeError, "does not accept"),
        (lambda qt: setattr(qt.QSpinBox(), "value", "many"), TypeError, "wrong argument types"),
        (lambda qt: setattr(qt.QPushButton(), "tooltip", "x"), AttributeError, "'tooltip' does not exist"),
        (lambda qt: setattr(qt.QComboBox(), "noneEnabled", True), AttributeError, "'noneEnabled' does not exist"),
        (lambda qt: qt.QPushButton().value, AttributeError, "value"),
        (lambda qt: setattr(qt.QComboBox(), "count", 3), AttributeError, "not writable"),
        (lambda qt: qt.QComboBox().addItem(text="x"), TypeError, "PythonQt ignores keyword arguments"),
        (lambda qt: qt.QDialog().exec(), AttributeError, "exec_"),
        (lambda qt: qt.QPushButton().clicked.connect(print), AttributeError, "clicked is PySide6's"),
        (lambda qt: qt.Qt.AlignLft, AttributeError, "AlignLft"),
        (lambda qt: qt.QPushButtn, AttributeError, "QPushButtn"),
        (lambda qt: qt.Signal, AttributeError, "Signal"),
        (lambda qt: qt.QSettings().value("a", "", str), TypeError, "positional"),
        (lambda qt: qt.QPushButton().connect("clicked()", None), TypeError, "not callable"),
        (lambda qt: qt.QPushButton().connect("clicked()", qt.QLabel(), "hidee()"), AttributeError, "hidee"),
    ],
)
def test_what_pythonqt_lacks_or_refuses_is_an_error(qt, misuse, error, message):
    with pytest.raises(error, match=message):
        misuse(qt)


def test_a_widget_used_on_a_worker_thread_fails_the_test_even_if_the_thread_ignores_it(qt):
    label, caught = qt.QLabel(), []

    def work():
        try:
            label.text = "from elsewhere"
        except RuntimeError as error:
            caught.append(error)

    with failures.expect("QLabel.text used on the thread worker"):
        thread = threading.Thread(target=work, name="worker")
        thread.start()
        thread.join()
    assert caught
    assert label.text == ""


def test_what_qt_warns_about_fails_the_test(qt):
    with failures.expect("QPainter::begin"):
        qt.QPainter().begin(qt.QPixmap())


def test_settings_are_fresh_and_come_back_as_text(qt):
    settings = qt.QSettings()
    assert settings.allKeys() == []
    settings.setValue("flag", False)
    settings.setValue("number", 3)
    assert [settings.value(key, 4) for key in ("flag", "number", "none")] == ["false", "3", 4]


# === Signals ===


@pytest.mark.parametrize("signal", ["clickd(bool)", "clicked", "clicked(int)", "clicked(bool, bool)", ""])
def test_a_signal_is_connected_by_its_exact_signature(qt, signal):
    for method in ("connect", "disconnect"):
        with pytest.raises(AttributeError, match="QPushButton has no signal"):
            getattr(qt.QPushButton(), method)(signal, print)


def test_a_signal_passes_as_many_arguments_as_the_slot_takes(qt):
    button, got = qt.QPushButton(), []
    button.checkable = True
    for slot in (lambda: got.append("none"), got.append, lambda *all_: got.append(all_)):
        button.connect("clicked(bool)", slot)
    button.click()
    assert got == ["none", True, (True,)]


def test_an_exception_in_a_slot_fails_the_test_and_the_next_slot_still_runs(qt):
    button, ran = qt.QPushButton(), []
    button.connect("clicked()", lambda missing: None)
    button.connect("clicked()", lambda: ran.append(True))
    qt.QTimer.singleShot(0, lambda needed: None)
    with failures.expect("TypeError"):
        button.click()
        gui.process_events(0.02)
    assert ran == [True]


def test_disconnecting_ends_the_right_connection(qt):
    class Panel:
        clicks = 0

        def on_click(self):
            self.clicks += 1

    first, second, button = Panel(), Panel(), qt.QPushButton()
    button.connect("clicked()", first.on_click)
    button.connect("clicked()", second.on_click)
    assert [button.disconnect("clicked()", first.on_click) for _ in range(2)] == [True, False]
    button.click()
    assert (first.clicks, second.clicks) == (0, 1)


@pytest.mark.parametrize("path", _SOURCES, ids=[str(path.relative_to(EXTENSION)) for path in _SOURCES])
def test_enums_are_spelled_as_in_qt_5(path):
    assert _QT6_ENUM.findall("qt.Qt.AlignmentFlag.AlignLeft | qt.Qt.AlignLeft") == ["qt.Qt.AlignmentFlag.AlignLeft"]
    assert _QT6_ENUM.findall(path.read_text(encoding="utf-8")) == []
