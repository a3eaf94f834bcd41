"""The harness's .ui loader: what Qt's own drops on the floor fails, with the place in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

_FORM = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0"><class>Form</class>
<widget class="{top}" name="Form"><layout class="QVBoxLayout" name="rows">
<property name="leftMargin"><number>3</number></property>
<item><widget class="{inner}" name="inner">{properties}</widget></item>
<item><widget class="QLabel" name="{second}"/></item>
</layout></widget><resources/><connections>{connections}</connections></ui>
"""

_CONNECTION = (
    "<connection><sender>{0}</sender><signal>{1}</signal><receiver>{2}</receiver><slot>{3}</slot></connection>"
)


def _load(folder: Path, **parts: str) -> Any:
    import slicer

    filled = {"top": "qMRMLWidget", "inner": "QLabel", "properties": "", "second": "second", "connections": "", **parts}
    (folder / "form.ui").write_text(_FORM.format(**filled))
    return slicer.util.loadUI(str(folder / "form.ui"))


def _property(name: str, value: str, extra: str = "") -> str:
    return f'<property name="{name}"{extra}>{value}</property>'


def test_a_form_has_the_classes_and_properties_of_its_file(desktop: Any, tmp_path: Path) -> None:
    import qt
    import slicer

    properties = _property("nodeTypes", "<stringlist><string>vtkMRMLTextNode</string></stringlist>")
    properties += _property("noneEnabled", "<bool>true</bool>")
    properties += _property("SlicerParameterName", "<string>text</string>", ' stdset="0"')

    form = _load(tmp_path, inner="qMRMLNodeComboBox", properties=properties)

    ui = slicer.util.childWidgetVariables(form)
    assert type(form) is slicer.qMRMLWidget
    assert type(ui.inner) is slicer.qMRMLNodeComboBox
    assert type(ui.second) is qt.QLabel
    assert list(ui.inner.nodeTypes) == ["vtkMRMLTextNode"]
    assert ui.inner.noneEnabled is True
    assert ui.inner.property("SlicerParameterName") == "text"
    assert form.layout().contentsMargins().left() == 3


def test_a_form_hands_its_scene_on_through_its_connections_only(desktop: Any, tmp_path: Path) -> None:
    import slicer

    connection = _CONNECTION.format("Form", "mrmlSceneChanged(vtkMRMLScene*)", "inner", "setMRMLScene(vtkMRMLScene*)")
    connected = _load(tmp_path, inner="qMRMLNodeComboBox", connections=connection)
    alone = _load(tmp_path, inner="qMRMLNodeComboBox")
    for form in (connected, alone):
        form.setMRMLScene(slicer.mrmlScene)

    assert slicer.util.findChild(connected, "inner").mrmlScene() is slicer.mrmlScene
    assert slicer.util.findChild(alone, "inner").mrmlScene() is None


def test_slots_of_a_forms_widgets_survive_the_loader(desktop: Any, tmp_path: Path) -> None:
    import gc

    import slicer

    form = _load(tmp_path, inner="QPushButton")
    clicks: list[bool] = []
    slicer.util.findChild(form, "inner").connect("clicked(bool)", clicks.append)
    gc.collect()

    slicer.util.findChild(form, "inner").click()

    assert clicks == [False]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"inner": "QPushButtn"}, "widget class 'QPushButtn'"),
        ({"inner": "ctkCollapsableButton"}, "widget class 'ctkCollapsableButton'"),
        ({"inner": "QTimer"}, "widget class 'QTimer'"),
        ({"properties": _property("txt", "<string>x</string>")}, "'inner' of the .ui file has no property 'txt'"),
        ({"properties": _property("SlicerParamName", "<string>x</string>", ' stdset="0"')}, "'SlicerParamName'"),
        (
            {"inner": "qMRMLNodeComboBox", "properties": _property("nodeType", "<string>x</string>")},
            "no property 'nodeType'",
        ),
        ({"properties": _property("frameShape", "<enum>QFrame::Shape::HLine</enum>")}, "spelling of Qt 6"),
        ({"properties": _property("alignment", "<set>Qt::AlignmentFlag::AlignLeft</set>")}, "spelling of Qt 6"),
        ({"second": "inner"}, "two widgets 'inner'"),
        ({"connections": _CONNECTION.format("Form", "sceneChanged()", "inner", "clear()")}, "no signal"),
        ({"connections": _CONNECTION.format("Frm", "destroyed()", "inner", "clear()")}, "connects 'Frm'"),
        ({"connections": _CONNECTION.format("Form", "destroyed()", "inner", "cleer()")}, "cleer"),
    ],
)
def test_a_fault_in_the_file_is_named(desktop: Any, tmp_path: Path, parts: dict[str, str], message: str) -> None:
    with pytest.raises((RuntimeError, AttributeError), match=message):
        _load(tmp_path, **parts)


def test_a_file_that_is_not_there_is_named(desktop: Any, tmp_path: Path) -> None:
    import slicer

    with pytest.raises(RuntimeError, match=r"nothing\.ui"):
        slicer.util.loadUI(str(tmp_path / "nothing.ui"))
