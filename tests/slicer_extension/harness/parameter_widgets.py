"""Which widget can show which parameter, and how: stand-in of ``slicer.parameterNodeWrapper``'s GUI connectors.

The pairs are Slicer's: exactly this widget class with exactly this type. An ``Optional`` has no widget there, and a
combo box needs a ``Choice``; both fail here as they do in Slicer.
"""

from __future__ import annotations

import enum
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.slicer_extension.harness.parameter_node import Parameter
from tests.slicer_extension.harness.parameter_types import Choice, Decimals, Maximum, Minimum, NodeKind, SingleStep
from tests.slicer_extension.harness.parameter_types import WithinRange as Within


@dataclass
class Connector:
    """One widget bound to one parameter: the signal to listen to, and how to read and write the widget."""

    widget: Any
    signal: str
    read: Callable[[], Any]
    write: Callable[[Any], None]
    _listener: Any = field(default=None, init=False)

    def connect(self, listener: Callable[[], None]) -> None:
        """Call a listener when the user (or code) changes the widget."""
        self._listener = listener
        self.widget.connect(self.signal, listener)

    def disconnect(self) -> None:
        """Stop calling the listener."""
        self.widget.disconnect(self.signal, self._listener)


def connector_of(widget: Any, parameter: Parameter) -> Connector:
    """Return the connector of a widget and a parameter; RuntimeError when Slicer has none for the two."""
    kind, name = parameter.annotation, type(widget).__name__
    if isinstance(parameter.kind, NodeKind) and name == "qMRMLNodeComboBox":
        return _node_connector(widget, kind)
    choice = _hint(parameter, Choice)
    if name == "QComboBox" and isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _choice_connector(widget, list(kind), [member.name for member in kind])
    if name == "QComboBox" and kind in (int, float, str, bool) and choice is not None:
        return _choice_connector(widget, list(choice.choices), [str(value) for value in choice.choices])
    for names, types, signal, attribute in _ATTRIBUTES:
        if name in names and kind in types:
            _set_range(widget, parameter)
            return _attribute_connector(widget, kind, signal, attribute)
    if (name, kind) == ("QTextEdit", str):
        return Connector(widget, "textChanged()", widget.toPlainText, widget.setPlainText)
    raise RuntimeError(f"Unable to connect parameter {parameter.name} of type {kind} to a {name}")


#: widget classes, types, signal, attribute
_ATTRIBUTES = (
    (("QCheckBox",), (bool,), "stateChanged(int)", "checked"),
    (("QPushButton",), (bool,), "toggled(bool)", "checked"),
    (("QSlider", "QSpinBox"), (int,), "valueChanged(int)", "value"),
    (("QDoubleSpinBox", "ctkSliderWidget"), (float,), "valueChanged(double)", "value"),
    (("QLineEdit",), (str,), "textChanged(QString)", "text"),
    (("ctkPathLineEdit",), (pathlib.Path,), "currentPathChanged(QString)", "currentPath"),
    (("ctkDirectoryButton",), (pathlib.Path,), "directoryChanged(QString)", "directory"),
)


def _attribute_connector(widget: Any, kind: type, signal: str, attribute: str) -> Connector:
    """Bind to a Qt property."""

    def write(value: Any) -> None:
        setattr(widget, attribute, str(value) if kind is pathlib.Path else value)

    return Connector(widget, signal, lambda: kind(getattr(widget, attribute)), write)


def _node_connector(widget: Any, kind: Any) -> Connector:
    """Bind to the selected node."""
    names = [member.__name__ for member in (kind if isinstance(kind, tuple) else (kind,))]
    widget.nodeTypes = names
    return Connector(widget, "currentNodeChanged(vtkMRMLNode*)", widget.currentNode, widget.setCurrentNode)


def _choice_connector(widget: Any, values: list[Any], texts: list[str]) -> Connector:
    """Bind to the selected item of a combo box, which is filled here."""
    widget.clear()
    for text in texts:
        widget.addItem(text)

    def write(value: Any) -> None:
        widget.currentIndex = values.index(value)

    return Connector(widget, "currentIndexChanged(int)", lambda: values[widget.currentIndex], write)


def _set_range(widget: Any, parameter: Parameter) -> None:
    """Give a number widget the parameter's range, digits and step; a slider without a range fails."""
    if parameter.annotation not in (int, float):
        return
    within, low, high = (_hint(parameter, kind) for kind in (Within, Minimum, Maximum))
    if type(widget).__name__ in ("QSlider", "ctkSliderWidget") and within is None and (low is None or high is None):
        raise RuntimeError(f"parameter {parameter.name} has no range, so it cannot be connected to a slider")
    limit = float(2**31 - 1) if parameter.annotation is float else 2**31 - 1
    widget.minimum = within.minimum if within else low.minimum if low else -limit
    widget.maximum = within.maximum if within else high.maximum if high else limit
    decimals, step = _hint(parameter, Decimals), _hint(parameter, SingleStep)
    if decimals is not None:
        widget.decimals = decimals.value
    if step is not None:
        widget.singleStep = step.value


def _hint(parameter: Parameter, kind: type) -> Any:
    """Return the first annotation of a class, or None."""
    return next((hint for hint in parameter.hints if isinstance(hint, kind)), None)
