import pytest

from tests.slicer_extension.harness import gui
from tests.slicer_extension.harness_tests import failing, on_a_thread


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

    with failing("QLabel.text used on the thread worker"):
        on_a_thread(work)
    assert (len(caught), label.text) == (1, "")


def test_what_qt_warns_about_fails_the_test(qt):
    with failing("QPainter::begin"):
        qt.QPainter().begin(qt.QPixmap())


def test_settings_are_fresh_and_come_back_as_text(qt):
    settings = qt.QSettings()
    assert settings.allKeys() == []
    settings.setValue("flag", False)
    settings.setValue("number", 3)
    assert [settings.value(key, 4) for key in ("flag", "number", "none")] == ["false", "3", 4]


def test_a_signal_is_connected_by_its_exact_signature(qt):
    button = qt.QPushButton()
    for signal in ("clickd(bool)", "clicked", "clicked(int)", "clicked(bool, bool)", ""):
        for method in (button.connect, button.disconnect):
            with pytest.raises(AttributeError, match="QPushButton has no signal"):
                method(signal, print)


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
    with failing("2 failures(?s:.*)TypeError(?s:.*)TypeError"):
        button.click()
        gui.process_events(0.02)
    assert ran == [True]


def test_disconnecting_ends_the_right_connection(qt):
    first, second, button = list[bool](), list[bool](), qt.QPushButton()
    button.connect("clicked(bool)", first.append)
    button.connect("clicked(bool)", second.append)
    assert [button.disconnect("clicked(bool)", first.append) for _ in range(2)] == [True, False]
    button.click()
    assert (first, second) == ([], [False])
