"""Qt objects look and behave like PythonQt's: what fails in Slicer fails here, and what works there works here."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.slicer_extension.harness import faults


def test_properties_are_attributes(desktop: Any) -> None:
    import qt

    label = qt.QLabel("first")
    label.text = "second"
    label.alignment = qt.Qt.AlignRight | qt.Qt.AlignVCenter

    assert label.text == "second"
    assert label.alignment == qt.Qt.AlignRight | qt.Qt.AlignVCenter
    assert qt.QSpinBox().maximum == 99
    assert qt.QComboBox().count == 0


def test_calling_a_property_fails(desktop: Any) -> None:
    import qt

    with pytest.raises(TypeError, match="'str' object is not callable"):
        qt.QLabel("x").text()
    with pytest.raises(TypeError):
        qt.QCheckBox().checked()


@pytest.mark.parametrize("name", ["txt", "setTextt", "tooltip", "value"])
def test_an_attribute_that_a_widget_does_not_have_cannot_be_set_or_read(desktop: Any, name: str) -> None:
    import qt

    button = qt.QPushButton("x")

    with pytest.raises(AttributeError, match=name):
        setattr(button, name, "y")
    with pytest.raises(AttributeError):
        getattr(button, name)


def test_a_class_of_ones_own_may_have_attributes_of_its_own(desktop: Any) -> None:
    import qt

    class Curve(qt.QWidget):
        def __init__(self) -> None:
            super().__init__()
            self.points = [1, 2]

        def sizeHint(self) -> Any:
            return qt.QSize(7, 8)

    curve = Curve()

    assert curve.points == [1, 2]
    assert curve.sizeHint().width() == 7


@pytest.mark.parametrize(("value", "error"), [(None, TypeError), (["a"], TypeError), (object(), TypeError)])
def test_text_takes_text_only(desktop: Any, value: Any, error: type[Exception]) -> None:
    import qt

    with pytest.raises(error):
        qt.QLabel().text = value


def test_numbers_become_text_and_whole_numbers_as_in_pythonqt(desktop: Any) -> None:
    import qt

    label, box = qt.QLabel(), qt.QSpinBox()
    label.text = 5
    box.value = 4.9

    assert label.text == "5"
    assert box.value == 4
    with pytest.raises(TypeError):
        box.value = "many"


@pytest.mark.parametrize(("value", "enabled"), [(None, False), (0, False), ([], False), ("x", True), ([1], True)])
def test_anything_is_taken_as_a_bool(desktop: Any, value: Any, enabled: bool) -> None:
    import qt

    by_property, by_method = qt.QPushButton(), qt.QPushButton()
    by_property.enabled = value
    by_method.setEnabled(value)

    assert by_property.enabled is by_method.enabled is enabled


def test_a_property_that_cannot_be_written_says_so(desktop: Any) -> None:
    import qt

    with pytest.raises(AttributeError, match="not writable"):
        qt.QComboBox().count = 3


@pytest.mark.parametrize(
    "misspell",
    [
        lambda qt: qt.Qt.AlignLft,
        lambda qt: qt.QMessageBox.Yess,
        lambda qt: qt.QHeaderView.Strech,
        lambda qt: qt.QPushButtn,
        lambda qt: qt.Signal,
    ],
)
def test_unknown_enums_and_classes_fail(desktop: Any, misspell: Any) -> None:
    import qt

    with pytest.raises(AttributeError):
        misspell(qt)


def test_keyword_arguments_fail_since_pythonqt_ignores_them(desktop: Any) -> None:
    import qt

    with pytest.raises(TypeError, match="PythonQt ignores keyword arguments"):
        qt.QComboBox().addItem(text="x")


def test_exec_has_an_underscore(desktop: Any) -> None:
    import qt

    with pytest.raises(AttributeError, match="exec_"):
        qt.QDialog().exec()


def test_widgets_used_from_a_worker_thread_fail_the_test(desktop: Any) -> None:
    import qt

    label = qt.QLabel()
    caught: list[str] = []

    def work() -> None:
        try:
            label.text = "from elsewhere"
        except RuntimeError as error:
            caught.append(str(error))

    with faults.expect("QLabel.text used on the thread worker"):
        thread = threading.Thread(target=work, name="worker")
        thread.start()
        thread.join()

    assert caught
    assert label.text == ""


def test_names_classes_and_children_are_asked_for_as_in_slicer(desktop: Any) -> None:
    import qt
    import slicer

    top = qt.QWidget()
    inner = qt.QLabel("x", top)
    inner.name = "inner"

    assert inner.objectName == "inner"
    assert inner.className() == "QLabel"
    assert inner.parent() is top
    assert top.findChildren(qt.QLabel) == top.findChildren("QLabel") == [inner]
    assert top.findChild("QLabel", "inner") is inner
    assert slicer.util.findChild(top, "inner") is inner
    assert slicer.util.childWidgetVariables(top).inner is inner
    with pytest.raises(RuntimeError, match="outer does not exist"):
        slicer.util.findChild(top, "outer")


def test_a_dynamic_property_is_an_attribute_once_it_is_set(desktop: Any) -> None:
    import qt

    label = qt.QLabel()
    label.setProperty("tone", "good")
    label.tone = "bad"

    assert label.property("tone") == label.tone == "bad"


def test_what_qt_warns_about_fails_the_test(desktop: Any) -> None:
    import qt

    with faults.expect("QPainter::begin"):
        qt.QPainter().begin(qt.QPixmap())


def test_settings_are_fresh_and_kept_as_text(desktop: Any) -> None:
    import qt
    import slicer

    assert qt.QSettings().allKeys() == []
    slicer.app.userSettings().setValue("TumorLoop/url", "http://x")

    assert slicer.util.settingsValue("TumorLoop/url", "") == "http://x"
    qt.QSettings().setValue("TumorLoop/final", False)
    qt.QSettings().setValue("TumorLoop/epochs", 3)
    assert qt.QSettings().value("TumorLoop/final") == "false"
    assert slicer.util.settingsValue("TumorLoop/final", True, converter=slicer.util.toBool) is False
    assert qt.QSettings().value("TumorLoop/epochs") == "3"
    assert qt.QSettings().value("TumorLoop/none", 4) == 4
    with pytest.raises(TypeError):
        qt.QSettings().value("TumorLoop/url", "", str)
    with pytest.raises(TypeError):
        qt.QSettings().value("TumorLoop/url", type=str)
