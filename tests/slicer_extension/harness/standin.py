"""What stand-ins of C++ widgets (CTK's and Slicer's) have in common.

A stand-in is a Python subclass of a Qt class, marked ``NATIVE`` so that it is as strict as one. It declares its signals
with their C++ signatures in ``SIGNALS`` and its properties with :func:`attribute`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtWidgets
from shiboken6 import isValid

from tests.slicer_extension.harness import signals
from tests.slicer_extension.harness.raw import raw

#: Class name -> class, of everything that a .ui file may name beside Qt's own widgets.
WIDGETS: dict[str, type] = {}


_observing: list[Any] = []


def register(cls: type) -> type:
    """Class decorator: a stand-in that .ui files may name."""
    WIDGETS[cls.__name__] = cls
    return cls


def attribute(kind: Any, name: str, default: Any, changed: Callable[[Any], None] | None = None) -> QtCore.Property:
    """Return a Qt property that keeps its value in the object.

    Args:
        kind: Python type or the C++ name of one, as for PySide6's ``Property``.
        name: The property's name.
        default: Value at first.
        changed: Called with the object after every change.
    """

    def read(self: Any) -> Any:
        return state(self).get(name, default)

    def write(self: Any, value: Any) -> None:
        if state(self).get(name, default) == value:
            return
        state(self)[name] = value
        if changed is not None:
            changed(self)

    return QtCore.Property(kind, read, write)


def state(widget: Any) -> dict[str, Any]:
    """Return the dictionary in which a stand-in keeps what it knows."""
    kept: dict[str, Any] = raw(widget, "__dict__").setdefault("_standin_state", {})
    return kept


def observe(widget: Any, subject: Any, event: Any, react: Callable[..., None]) -> None:
    """Observe a scene or node until :func:`unobserve`, or until the widget's C++ side is gone, as C++ widgets do."""

    def call(*args: Any) -> None:
        if isValid(widget):
            react(*args)
        else:
            subject.RemoveObserver(tag)

    tag = subject.AddObserver(event, call)
    state(widget).setdefault("observed", []).append((subject, tag))
    _observing.append(widget)


def unobserve(widget: Any) -> None:
    """End all observations of :func:`observe`."""
    for subject, tag in state(widget).pop("observed", []):
        subject.RemoveObserver(tag)


def unobserve_all() -> None:
    """End the observations of all widgets: Python cannot see through VTK that they keep widgets and nodes alive."""
    for widget in _observing:
        unobserve(widget)
    _observing.clear()


class StandIn:
    """Mixin of all stand-ins: emitting declared signals, and the setters of properties."""

    NATIVE = True

    def __getattr__(self, name: str) -> Any:
        """Make ``setX`` of a property ``x`` declared by a stand-in; anything else does not exist."""
        property_name = name[3:4].lower() + name[4:]
        if name.startswith("set") and isinstance(getattr(type(self), property_name, None), QtCore.Property):
            return lambda value: setattr(self, property_name, value)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _emit(self, signature: str, *args: Any) -> None:
        signals.emit(self, signature, *args)


class MRMLSceneMixin(StandIn):
    """Widgets that look at a scene: ``setMRMLScene``, ``mrmlScene``."""

    NATIVE = True
    SIGNALS: tuple[str, ...] = ("mrmlSceneChanged(vtkMRMLScene*)",)

    def setMRMLScene(self, scene: Any) -> None:
        """Look at a scene, or at none."""
        if state(self).get("scene") is scene:
            return
        state(self)["scene"] = scene
        self._scene_set(scene)
        self._emit("mrmlSceneChanged(vtkMRMLScene*)", scene)

    def mrmlScene(self) -> Any:
        """Return the scene, or None."""
        return state(self).get("scene")

    def _scene_set(self, scene: Any) -> None:
        """Take note of another scene; for the widgets to override."""


def child_widgets(widget: Any) -> list[Any]:
    """Return the widgets directly inside another one."""
    return [child for child in raw(widget, "children")() if isinstance(child, QtWidgets.QWidget)]
