"""Stand-in of ``slicer.parameterNodeWrapper``: typed attributes over a ``vtkMRMLScriptedModuleNode``.

Like the original it writes every default into the node at once, checks types and validators on each assignment, and
binds parameters to the widgets whose ``SlicerParameterName`` property names them. Unlike the original it refuses
attributes that are no parameters, and a widget that names an unknown parameter fails.
"""

from __future__ import annotations

import typing
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import slicer
import vtk

from tests.slicer_extension.harness.parameter_types import Decimals, Default, Kind, SingleStep, Validator, kind_of

#: The dynamic property of a widget that names the parameter it shows.
PROPERTY = "SlicerParameterName"

_RESERVED = frozenset(
    {"allParameters", "default", "isCached", "dataType", "getValue", "setValue", "connectGui", "disconnectGui"}
    | {"connectParametersToGui", "StartModify", "EndModify", "AddObserver", "RemoveObserver", "Modified"}
)


@dataclass(frozen=True)
class Parameter:
    """What the class says about one parameter."""

    name: str
    annotation: Any
    kind: Kind
    default: Any
    validators: tuple[Validator, ...]
    hints: tuple[Any, ...]

    def write(self, node: Any, value: Any) -> None:
        """Check a value and keep it in the node."""
        try:
            self.kind.check(value)
            if value is not None:
                for validator in self.validators:
                    validator.validate(value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"parameter {self.name}: {error}") from None
        with slicer.util.NodeModify(node):
            self.kind.write(node, self.name, value)

    def read(self, node: Any) -> Any:
        """Return the value; one that vanished from the node (closing the scene does that) is the default again."""
        if not self.kind.present(node, self.name):
            self.write(node, self.default)
        return self.kind.read(node, self.name)


def parameterNodeWrapper(described: Any = None) -> Any:
    """Class decorator: annotated names become parameters; use as ``@parameterNodeWrapper``, with or without ()."""
    if described is None:
        return parameterNodeWrapper
    hints = typing.get_type_hints(described, include_extras=True)
    parameters = {name: _parameter(described, name, hint) for name, hint in hints.items()}
    taken = sorted(_RESERVED & (set(parameters) | set(vars(described))))
    if taken:
        raise ValueError(f"Cannot use reserved name {taken[0]!r} in a parameterNodeWrapper")
    body = {
        name: value for name, value in vars(described).items() if name not in ("__dict__", "__weakref__", "__init__")
    }
    body.update({name: _property(parameter) for name, parameter in parameters.items()})
    body["allParameters"] = parameters
    return type(described.__name__, (*described.__bases__[:-1], ParameterNode), body)


def _parameter(described: type, name: str, hint: Any) -> Parameter:
    """Read one annotation with what is attached to it."""
    annotated = typing.get_origin(hint) is typing.Annotated
    plain, *extras = typing.get_args(hint) if annotated else (hint,)
    kind = kind_of(plain)
    default = kind.default()
    for extra in extras:
        if isinstance(extra, Default):
            default = extra.value
        elif not isinstance(extra, (Validator, Decimals, SingleStep)):
            raise TypeError(f"parameter {name}: unused annotation {extra!r}")
    if hasattr(described, name):
        default = getattr(described, name)
    validators = tuple(extra for extra in extras if isinstance(extra, Validator))
    return Parameter(name, plain, kind, default, validators, tuple(extras))


def _property(parameter: Parameter) -> property:
    """Return the attribute of one parameter."""

    def read(self: ParameterNode) -> Any:
        return parameter.read(self.parameterNode)

    def write(self: ParameterNode, value: Any) -> None:
        parameter.write(self.parameterNode, value)

    return property(read, write)


class ParameterNode:
    """Base of the wrapped classes: values, observers, and the binding to widgets."""

    allParameters: Mapping[str, Parameter] = {}
    parameterNode: Any
    _guis: dict[int, tuple[int, dict[str, Any]]]
    _next_tag: int
    _updating: bool

    def __init__(self, parameterNode: Any) -> None:
        self.__dict__.update(parameterNode=parameterNode, _guis={}, _next_tag=0, _updating=False)
        for parameter in self.allParameters.values():
            if not parameter.kind.present(parameterNode, parameter.name):
                parameter.write(parameterNode, parameter.default)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.allParameters and name not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no parameter {name!r}")
        object.__setattr__(self, name, value)

    def _known(self, name: str) -> Parameter:
        if name not in self.allParameters:
            raise ValueError(f"no parameter {name!r}; there are {', '.join(self.allParameters)}")
        return self.allParameters[name]

    def default(self, name: str) -> Default:
        """Return a parameter's first value, in a :class:`Default`."""
        return Default(self._known(name).default)

    def isCached(self, name: str) -> bool:
        """Return whether reads are cached, which plain values and nodes are in Slicer."""
        return self._known(name) is not None

    def dataType(self, name: str) -> Any:
        """Return a parameter's type."""
        return self._known(name).annotation

    def getValue(self, name: str) -> Any:
        """Return a parameter's value."""
        return self._known(name).read(self.parameterNode)

    def setValue(self, name: str, value: Any) -> None:
        """Set a parameter's value."""
        self._known(name).write(self.parameterNode, value)

    def StartModify(self) -> int:
        """Hold back the node's ModifiedEvent; give the result to :meth:`EndModify`."""
        return int(self.parameterNode.StartModify())

    def EndModify(self, was_modifying: int) -> None:
        """Send the held back ModifiedEvent."""
        self.parameterNode.EndModify(was_modifying)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        """Observe the node; returns the observer's tag."""
        return int(self.parameterNode.AddObserver(event, callback, priority))

    def RemoveObserver(self, tag: int) -> None:
        """End an observation."""
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        """Send a ModifiedEvent."""
        self.parameterNode.Modified()

    def connectGui(self, gui: Any) -> None:
        """Bind parameters and widgets, both ways.

        As in Slicer 5.2 to 5.10, nothing is returned, so that the binding cannot be undone; only
        :meth:`connectParametersToGui` gives a tag.

        Args:
            gui: A widget whose children are looked at, or what ``slicer.util.childWidgetVariables`` returns.
        """
        widgets = gui.findChildren("QWidget") if hasattr(gui, "isWidgetType") else list(vars(gui).values())
        named = {widget.property(PROPERTY): widget for widget in widgets if widget.property(PROPERTY)}
        self.connectParametersToGui(named)

    def connectParametersToGui(self, mapping: Mapping[str, Any]) -> int:
        """Bind the named parameters to widgets; returns a tag for :meth:`disconnectGui`."""
        from tests.slicer_extension.harness.parameter_widgets import connector_of

        connectors = {name: connector_of(widget, self._known(name)) for name, widget in mapping.items()}
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.connect(self._taker(name, connector))
        tag = self._next_tag
        self.__dict__["_next_tag"] += 1
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, self._shower(tag))
        self._guis[tag] = (observer, connectors)
        return tag

    def disconnectGui(self, tag: int | None) -> None:
        """Undo one :meth:`connectParametersToGui`; an unknown tag, such as None, does nothing."""
        if tag is None or tag not in self._guis:
            return
        observer, connectors = self._guis.pop(tag)
        self.RemoveObserver(observer)
        for connector in connectors.values():
            connector.disconnect()

    def _taker(self, name: str, connector: Any) -> Any:
        """Return what takes a widget's new value into the node."""

        def take() -> None:
            if not self._updating:
                self.setValue(name, connector.read())

        return take

    def _shower(self, tag: int) -> Any:
        """Return an observer that does not keep this object alive."""
        weak = weakref.ref(self)

        def show(*_: Any) -> None:
            alive = weak()
            if alive is not None:
                alive._show(tag)

        return show

    def _show(self, tag: int) -> None:
        """Write the values into the widgets of one binding."""
        if self._updating or tag not in self._guis:
            return
        self.__dict__["_updating"] = True
        try:
            for name, connector in self._guis[tag][1].items():
                connector.write(self.getValue(name))
        finally:
            self.__dict__["_updating"] = False
