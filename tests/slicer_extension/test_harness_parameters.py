"""The harness's parameter node: Slicer's types, checks, stored form and pairs of widget and type."""

# ruff: noqa: UP007, UP045  Slicer's parameter nodes read Optional[X]; with X | None they need Python 3.10

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any, Optional, Union

import pytest


class Color(enum.Enum):
    RED = 1
    GREEN = 2


def _wrapped(**described: Any) -> Any:
    """Return a wrapped class with the given annotations; a pair is an annotation and a default."""
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    annotations = {name: value[0] if isinstance(value, tuple) else value for name, value in described.items()}
    defaults = {name: value[1] for name, value in described.items() if isinstance(value, tuple)}
    return parameterNodeWrapper(type("Parameters", (), {"__annotations__": annotations, **defaults}))


def _node() -> Any:
    from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

    class ToyLogic(ScriptedLoadableModuleLogic):
        pass

    return ToyLogic().getParameterNode()


def test_every_type_has_its_default(scene: Any) -> None:
    import slicer
    from slicer.parameterNodeWrapper import Default

    node_type = slicer.vtkMRMLScalarVolumeNode
    wrapped = _wrapped(
        text=str, whole=(int, 3), number=float, flag=bool, maybe=Optional[int], node=node_type, color=Color,
        annotated=Annotated[str, Default("here")], path=Path,
    )  # fmt: skip

    values = {name: wrapped(_node()).getValue(name) for name in wrapped.allParameters}

    assert values == {
        "text": "", "whole": 3, "number": 0.0, "flag": False, "maybe": None, "node": None, "color": Color.RED,
        "annotated": "here", "path": Path(),
    }  # fmt: skip


def test_values_come_back_from_a_saved_scene(scene: Any, tmp_path: Path) -> None:
    import slicer

    wrapped = _wrapped(text=str, whole=int, number=float, flag=(bool, True), maybe=Optional[float], color=Color,
                       node=slicer.vtkMRMLScalarVolumeNode)  # fmt: skip
    parameters = wrapped(_node())
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "kept")
    given = {"text": 'a <b> & "c" ü\n{"json": [1]}', "whole": -7, "number": 0.1, "flag": False, "maybe": 2.5,
             "color": Color.GREEN}  # fmt: skip
    for name, value in given.items():
        setattr(parameters, name, value)
    parameters.node = volume
    assert slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    slicer.mrmlScene.Clear(0)

    slicer.util.loadScene(str(tmp_path / "scene.mrml"))

    back = wrapped(_node())
    assert {name: getattr(back, name) for name in given} == given
    assert back.node.GetName() == "kept"


def test_closing_the_scene_brings_the_defaults_back(scene: Any) -> None:
    import slicer

    parameters = _wrapped(whole=(int, 3))(_node())
    parameters.whole = 8

    slicer.mrmlScene.Clear(0)

    assert parameters.whole == 3


@pytest.mark.parametrize(
    ("type_", "value", "error"),
    [
        (str, 5, TypeError),
        (int, "5", TypeError),
        (int, 5.0, TypeError),
        (bool, 1, TypeError),
        (float, "x", TypeError),
        (str, None, ValueError),
        (Optional[int], "x", TypeError),
        (Color, "RED", TypeError),
    ],
)
def test_a_value_of_another_type_is_refused(scene: Any, type_: Any, value: Any, error: type[Exception]) -> None:
    parameters = _wrapped(it=type_)(_node())

    with pytest.raises(error, match="parameter it"):
        parameters.it = value


def test_a_node_of_another_class_is_refused(scene: Any) -> None:
    import slicer

    parameters = _wrapped(volume=slicer.vtkMRMLScalarVolumeNode)(_node())

    with pytest.raises(TypeError, match="vtkMRMLScalarVolumeNode"):
        parameters.volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")


def test_validators_refuse(scene: Any) -> None:
    from slicer.parameterNodeWrapper import Choice, Maximum, Minimum, WithinRange

    parameters = _wrapped(
        ranged=(Annotated[int, WithinRange(1, 9)], 5), low=(Annotated[int, Minimum(2)], 2),
        high=(Annotated[int, Maximum(2)], 2), chosen=(Annotated[str, Choice(["a", "b"])], "a"),
    )(_node())  # fmt: skip

    for name, value in (("ranged", 10), ("low", 1), ("high", 3), ("chosen", "c")):
        with pytest.raises(ValueError, match=f"parameter {name}"):
            setattr(parameters, name, value)
    assert (parameters.ranged, parameters.low, parameters.high, parameters.chosen) == (5, 2, 2, "a")


@pytest.mark.parametrize("type_", [list, dict, Union[int, str], "unheard_of"])
def test_a_type_that_cannot_be_kept_is_refused_at_once(scene: Any, type_: Any) -> None:
    with pytest.raises((TypeError, NameError)):
        _wrapped(it=type_)


def test_a_misspelled_parameter_is_refused(scene: Any) -> None:
    parameters = _wrapped(epochs=int)(_node())

    with pytest.raises(AttributeError, match="no parameter 'epoch'"):
        parameters.epoch = 4
    with pytest.raises(AttributeError):
        parameters.epoch  # noqa: B018
    with pytest.raises(ValueError, match="no parameter 'epoch'"):
        parameters.getValue("epoch")


def test_a_reserved_name_is_refused(scene: Any) -> None:
    with pytest.raises(ValueError, match="reserved name 'default'"):
        _wrapped(default=int)


def test_a_change_is_one_modified_event_and_no_change_is_none(scene: Any) -> None:
    parameters = _wrapped(text=str, number=float)(_node())
    events: list[str] = []
    parameters.AddObserver("ModifiedEvent", lambda _caller, event: events.append(event))

    parameters.text = "x"
    parameters.text = "x"

    assert events == ["ModifiedEvent"]


def _bound(widget: Any, type_: Any, default: Any) -> Any:
    parameters = _wrapped(it=(type_, default))(_node())
    return parameters, parameters.connectParametersToGui({"it": widget})


def test_widgets_and_parameters_follow_each_other(desktop: Any) -> None:
    import qt
    import slicer
    from slicer.parameterNodeWrapper import Choice, WithinRange

    pairs = [
        (qt.QLineEdit(), str, "a", "b", "text"),
        (qt.QCheckBox(), bool, True, False, "checked"),
        (qt.QSpinBox(), int, 3, 4, "value"),
        (qt.QDoubleSpinBox(), float, 1.5, 2.5, "value"),
        (qt.QSlider(), Annotated[int, WithinRange(0, 9)], 3, 4, "value"),
        (qt.QComboBox(), Annotated[str, Choice(["a", "b"])], "a", "b", "currentText"),
    ]
    for widget, type_, first, second, attribute in pairs:
        _node().UnsetAllParameters()
        parameters, binding = _bound(widget, type_, first)
        assert getattr(widget, attribute) == first
        parameters.it = second
        assert getattr(widget, attribute) == second
        if attribute == "currentText":
            widget.setCurrentText(first)
        else:
            setattr(widget, attribute, first)
        assert parameters.it == first
        parameters.disconnectGui(binding)
        parameters.it = second
        assert getattr(widget, attribute) == first
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode") == 1


def test_widgets_are_found_by_their_property_and_stay_bound_as_in_slicer(desktop: Any) -> None:
    import qt
    import slicer

    parameters = _wrapped(url=str)(_node())
    top = qt.QWidget()
    edit = qt.QLineEdit(top)
    edit.name = "urlEdit"
    edit.setProperty("SlicerParameterName", "url")

    assert parameters.connectGui(slicer.util.childWidgetVariables(top)) is None
    parameters.disconnectGui(None)
    edit.text = "http://x"

    assert parameters.url == "http://x"


def test_a_node_selector_and_a_parameter_follow_each_other(desktop: Any) -> None:
    import slicer

    combo = slicer.qMRMLNodeComboBox()
    combo.noneEnabled = True
    combo.setMRMLScene(slicer.mrmlScene)
    parameters, _ = _bound(combo, slicer.vtkMRMLTextNode, None)
    first, second = (slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", name) for name in "ab")

    combo.setCurrentNode(first)
    assert parameters.it is first
    parameters.it = second
    assert combo.currentNode() is second
    slicer.mrmlScene.RemoveNode(second)
    assert parameters.it is combo.currentNode() is None


@pytest.mark.parametrize(
    ("widget", "type_", "default"),
    [
        ("QLineEdit", Optional[str], None),
        ("QLineEdit", int, 0),
        ("QPlainTextEdit", str, ""),
        ("QLabel", str, ""),
        ("QComboBox", str, ""),
        ("QSlider", int, 0),
    ],
)
def test_a_pair_that_slicer_does_not_connect_is_refused(desktop: Any, widget: str, type_: Any, default: Any) -> None:
    import qt

    with pytest.raises(RuntimeError):
        _bound(getattr(qt, widget)(), type_, default)


def test_a_widget_that_names_an_unknown_parameter_is_refused(desktop: Any) -> None:
    import qt

    parameters = _wrapped(url=str)(_node())
    top = qt.QWidget()
    edit = qt.QLineEdit(top)
    edit.setProperty("SlicerParameterName", "adress")

    with pytest.raises(ValueError, match="no parameter 'adress'"):
        parameters.connectGui(top)
