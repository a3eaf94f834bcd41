"""``slicer.parameterNodeWrapper``: typed attributes over a ``vtkMRMLScriptedModuleNode``, bound to widgets.

Like the original it writes every default into the node at once, checks types and ranges on each assignment, keeps
values in Slicer's stored form, and binds exactly the pairs of widget class and type that Slicer binds. Its node keeps
a wrapper for good and calls it at every change, as up to Slicer 5.10; later versions keep it once it was connected to
widgets. Unlike the original it refuses attributes that are no parameters, and types and widgets that the panel does not
use.
"""

import functools
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import slicer
import vtk

_RESERVED = frozenset(
    {"allParameters", "default", "isCached", "dataType", "getValue", "setValue", "connectGui", "disconnectGui"}
    | {"connectParametersToGui", "StartModify", "EndModify", "AddObserver", "RemoveObserver", "Modified"}
)


@dataclass(frozen=True)
class WithinRange:
    """Validator: a number between two others, both allowed."""

    minimum: int
    maximum: int


@dataclass(frozen=True)
class Parameter:
    name: str
    type: Any
    default: Any
    range: WithinRange

    @property
    def is_node(self) -> bool:
        return issubclass(self.type, slicer.vtkMRMLNode)

    def write(self, node: Any, value: Any) -> None:
        if value is None and not self.is_node:
            raise ValueError(f"parameter {self.name}: value must not be None")
        # as in Slicer: True is an int, but 1 is not a bool
        if value is not None and not isinstance(value, self.type):
            raise TypeError(f"parameter {self.name}: value must be {self.type.__name__}, is {value!r}")
        if self.type is int and value not in range(self.range.minimum, self.range.maximum + 1):
            raise ValueError(f"parameter {self.name}: value must be within {self.range}, is {value}")
        with slicer.util.NodeModify(node):
            # of a reference the empty text of the same name says that there is a value, even if it is None
            node.SetParameter(self.name, "" if self.is_node else str(value))
            if self.is_node:
                node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)

    def read(self, node: Any) -> Any:
        """Return the value; one that vanished from the node (closing the scene does that) is the default again."""
        if not node.HasParameter(self.name):
            self.write(node, self.default)
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.type is bool else self.type(text)


def parameterNodeWrapper(described: type) -> type:
    parameters: dict[str, Parameter] = {}
    for name, hint in typing.get_type_hints(described, include_extras=True).items():
        if name in _RESERVED:
            raise ValueError(f"Cannot use reserved name {name!r} in a parameterNodeWrapper")
        kind, *extras = typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)
        is_node = isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)
        if not is_node and kind not in (str, int, bool):
            raise TypeError(f"parameter {name}: the harness keeps str, int, bool and MRML nodes, not {kind!r}")
        if extras and (kind is not int or not isinstance(extras[0], WithinRange)):
            raise TypeError(f"parameter {name}: unused annotation {extras!r}")
        limits = extras[0] if extras else WithinRange(-(2**31), 2**31 - 1)
        parameters[name] = Parameter(name, kind, getattr(described, name, None if is_node else kind()), limits)
    hidden = {"__dict__", "__weakref__", *parameters}
    body = {name: value for name, value in vars(described).items() if name not in hidden}
    return type(described.__name__, (ParameterNode,), {**body, "allParameters": parameters})


#: Widget class and type -> signal and property
_PAIRS: dict[tuple[str, type], tuple[str, str]] = {
    ("QCheckBox", bool): ("stateChanged(int)", "checked"),
    ("QSpinBox", int): ("valueChanged(int)", "value"),
    ("QLineEdit", str): ("textChanged(QString)", "text"),
}


def _connector(widget: Any, parameter: Parameter) -> tuple[str, Callable[[], Any], Callable[[Any], None]]:
    """Return the signal, the reader and the writer of a widget; RuntimeError when Slicer does not bind the two."""
    kind = type(widget).__name__
    if parameter.is_node and kind == "qMRMLNodeComboBox":
        widget.nodeTypes = [parameter.type.__name__]
        return "currentNodeChanged(vtkMRMLNode*)", widget.currentNode, widget.setCurrentNode
    if (kind, parameter.type) not in _PAIRS:
        raise RuntimeError(f"Unable to connect parameter {parameter.name} of type {parameter.type} to a {kind}")
    if kind == "QSpinBox":
        widget.minimum, widget.maximum = parameter.range.minimum, parameter.range.maximum
    signal, name = _PAIRS[kind, parameter.type]
    return signal, functools.partial(getattr, widget, name), functools.partial(setattr, widget, name)


class ParameterNode:
    """Base of the wrapped classes: values, observers, and the binding to widgets. The method names are Slicer's."""

    allParameters: Mapping[str, Parameter] = {}
    parameterNode: Any
    _values: dict[str, Any]
    _guis: dict[int, tuple[dict[str, Any], list[tuple[Any, str, Any]]]]
    _updating: bool

    def __init__(self, parameterNode: Any) -> None:
        self.__dict__.update(parameterNode=parameterNode, _values={}, _guis={}, _updating=False)
        for name in ("StartModify", "EndModify", "AddObserver", "RemoveObserver"):
            self.__dict__[name] = getattr(parameterNode, name)
        for parameter in self.allParameters.values():
            parameter.read(parameterNode)
            if not parameter.is_node:  # never removed
                parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, functools.partial(self._keep, parameter))
                self._keep(parameter)

    def __getattr__(self, name: str) -> Any:
        if name not in self.allParameters:
            raise AttributeError(f"{type(self).__name__} has no parameter {name!r}")
        return self._values[name] if name in self._values else self.allParameters[name].read(self.parameterNode)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.allParameters:
            raise AttributeError(f"{type(self).__name__} has no parameter {name!r}")
        with slicer.util.NodeModify(self.parameterNode):
            self.allParameters[name].write(self.parameterNode, value)
            if name in self._values:
                self._keep(self.allParameters[name])

    def connectParametersToGui(self, mapping: Mapping[str, Any]) -> int:
        """Bind the named parameters to widgets, both ways; returns a tag for :meth:`disconnectGui`."""
        unknown = sorted(set(mapping) - set(self.allParameters))
        if unknown:
            raise ValueError(f"no parameter {unknown[0]!r}; there are {', '.join(self.allParameters)}")
        writers, listeners = {}, []
        for name, widget in mapping.items():
            signal, read, writers[name] = _connector(widget, self.allParameters[name])
            writers[name](getattr(self, name))
            listeners.append((widget, signal, functools.partial(self._take, name, read)))
            widget.connect(*listeners[-1][1:])
        tag = len(self._guis)
        self._guis[tag] = (writers, listeners)
        self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, self._show)  # never removed
        return tag

    def disconnectGui(self, tag: int | None) -> None:
        """Disconnect the widgets of one :meth:`connectParametersToGui`; an unknown tag, such as None, does nothing."""
        if tag in self._guis:
            for widget, signal, listener in self._guis.pop(tag)[1]:
                widget.disconnect(signal, listener)

    def _keep(self, parameter: Parameter, *_: Any) -> None:
        self._values[parameter.name] = parameter.read(self.parameterNode)

    def _take(self, name: str, read: Callable[[], Any], *_: Any) -> None:
        if not self._updating:
            setattr(self, name, read())

    def _show(self, *_: Any) -> None:
        if self._updating:
            return
        self.__dict__["_updating"] = True
        try:
            for writers, _listeners in self._guis.values():
                for name, write in writers.items():
                    write(getattr(self, name))
        finally:
            self.__dict__["_updating"] = False
