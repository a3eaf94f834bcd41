import gc
import weakref
from typing import Annotated

import pytest
import slicer

from tests.slicer_extension.harness.parameter_node import WithinRange, parameterNodeWrapper
from tests.slicer_extension.harness.scripted_module import ScriptedLoadableModuleLogic
from tests.slicer_extension.scene.nodes import observers_of


def parameters_of(**described):
    """Return a wrapped parameter node with the given annotations; a pair is an annotation and a default."""
    annotations = {name: value[0] if isinstance(value, tuple) else value for name, value in described.items()}
    defaults = {name: value[1] for name, value in described.items() if isinstance(value, tuple)}
    wrapped = parameterNodeWrapper(type("Parameters", (), {"__annotations__": annotations, **defaults}))
    return wrapped(ScriptedLoadableModuleLogic().getParameterNode())


def test_every_parameter_has_its_default_also_after_the_scene_was_closed(scene):
    parameters = parameters_of(text=str, whole=(int, 3), on=(bool, True), node=slicer.vtkMRMLScalarVolumeNode)
    for _ in range(2):
        assert [getattr(parameters, name) for name in parameters.allParameters] == ["", 3, True, None]
        parameters.whole, parameters.on = 8, False
        slicer.mrmlScene.Clear(0)


@pytest.mark.parametrize(
    ("type_", "value", "error"),
    [
        (str, 5, TypeError),
        (int, "5", TypeError),
        (bool, 1, TypeError),
        (str, None, ValueError),
        (Annotated[int, WithinRange(0, 9)], 10, ValueError),
        (slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLTextNode(), TypeError),
    ],
)
def test_a_value_that_does_not_fit_is_refused(scene, type_, value, error):
    parameters = parameters_of(it=type_)
    before = parameters.it
    with pytest.raises(error, match="parameter it"):
        parameters.it = value
    assert parameters.it == before


def test_a_type_that_the_panel_does_not_use_and_a_misspelled_or_reserved_name_are_refused(scene):
    for type_ in (list, float, int | None, Annotated[str, "unused"], "unheard_of"):
        with pytest.raises((TypeError, NameError)):
            parameters_of(it=type_)
    with pytest.raises(ValueError, match="reserved name 'default'"):
        parameters_of(default=int)
    parameters = parameters_of(epochs=int)
    for access in (lambda: parameters.epoch, lambda: setattr(parameters, "epoch", 4)):
        with pytest.raises(AttributeError, match="no parameter 'epoch'"):
            access()


def test_a_binding_that_slicer_does_not_make_is_refused(qt):
    for name, widget, error, message in (
        ("text", qt.QLabel(), RuntimeError, "Unable to connect parameter text"),
        ("number", qt.QLineEdit(), RuntimeError, "Unable to connect parameter number"),
        ("adress", qt.QLineEdit(), ValueError, "no parameter 'adress'"),
    ):
        with pytest.raises(error, match=message):
            parameters_of(text=str, number=int).connectParametersToGui({name: widget})


def test_a_wrapper_is_kept_by_its_node_and_called_at_every_change_even_after_its_widgets_were_disconnected(qt):
    edit, parameters = qt.QLineEdit(), parameters_of(text=str)
    node, before = parameters.parameterNode, observers_of(parameters.parameterNode)
    parameters.disconnectGui(parameters.connectParametersToGui({"text": edit}))
    parameters.text = "not shown"
    assert edit.text == ""
    assert observers_of(node) == before + 1
    kept = weakref.ref(parameters)
    del parameters
    gc.collect()
    assert kept() is not None
