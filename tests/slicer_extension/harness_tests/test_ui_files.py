"""The .ui loader: what Qt's own ignores with a warning fails, with its name in the file."""

import gc

import pytest
import slicer

FORM = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0"><class>Form</class>
<widget class="qMRMLWidget" name="Form"><layout class="QVBoxLayout" name="rows">
<item><widget class="{inner}" name="inner">{properties}</widget></item>
<item><widget class="QLabel" name="{second}"/></item>
</layout></widget><resources/><connections>{connections}</connections></ui>
"""


def load(folder, **parts):
    filled = {"inner": "QLabel", "properties": "", "second": "second", "connections": "", **parts}
    (folder / "form.ui").write_text(FORM.format(**filled))
    form = slicer.util.loadUI(str(folder / "form.ui"))
    return form, slicer.util.childWidgetVariables(form)


def properties(**values):
    return {"properties": "".join(f'<property name="{name}">{value}</property>' for name, value in values.items())}


def connection(*parts):
    keys = ("sender", "signal", "receiver", "slot")
    inside = "".join(f"<{key}>{part}</{key}>" for key, part in zip(keys, parts, strict=True))
    return {"connections": f"<connection>{inside}</connection>"}


FALSE, TEXT = "<bool>false</bool>", "<string>x</string>"
SELECTOR = {"inner": "qMRMLNodeComboBox", **properties(addEnabled=FALSE, removeEnabled=FALSE, SlicerParameterName=TEXT)}


def test_a_form_has_the_classes_of_its_file_and_hands_its_scene_on_only_through_its_connections(desktop, tmp_path):
    connected = connection("Form", "mrmlSceneChanged(vtkMRMLScene*)", "inner", "setMRMLScene(vtkMRMLScene*)")
    for parts, scene in (({**SELECTOR, **connected}, slicer.mrmlScene), (SELECTOR, None)):
        form, ui = load(tmp_path, **parts)
        form.setMRMLScene(slicer.mrmlScene)
        assert ui.inner.mrmlScene() is scene
    names = [type(one).__name__ for one in (form, ui.inner, ui.second)]
    assert names == ["qMRMLWidget", "qMRMLNodeComboBox", "QLabel"]
    assert (ui.inner.addEnabled, ui.inner.property("SlicerParameterName")) == (False, "x")


def test_slots_of_a_forms_widgets_survive_the_loader(desktop, tmp_path):
    (form, ui), clicks = load(tmp_path, inner="QPushButton"), list[bool]()
    ui.inner.connect("clicked(bool)", clicks.append)
    del ui
    gc.collect()
    slicer.util.findChild(form, "inner").click()
    assert clicks == [False]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"inner": "QPushButtn"}, "widget class 'QPushButtn'"),
        ({"inner": "ctkCollapsableButton"}, "widget class 'ctkCollapsableButton'"),
        ({"inner": "QTimer"}, "widget class 'QTimer'"),
        (properties(txt=TEXT), "'inner' of the .ui file has no property 'txt'"),
        (properties(SlicerParamName=TEXT), "no property 'SlicerParamName'"),
        ({"inner": "qMRMLSegmentEditorWidget", **properties(noneEnabled=FALSE)}, "no property 'noneEnabled'"),
        (properties(frameShape="<enum>QFrame::Shape::HLine</enum>"), "spelling of Qt 6"),
        (properties(alignment="<set>Qt::AlignmentFlag::AlignLeft</set>"), "spelling of Qt 6"),
        ({"second": "inner"}, "two widgets 'inner'"),
        (connection("Form", "sceneChanged()", "inner", "clear()"), "no signal"),
        (connection("Frm", "destroyed()", "inner", "clear()"), "Frm"),
        (connection("Form", "destroyed()", "inner", "cleer()"), "cleer"),
    ],
)
def test_a_fault_in_the_file_is_named(desktop, tmp_path, parts, message):
    with pytest.raises((RuntimeError, AttributeError, KeyError), match=message):
        load(tmp_path, **parts)
