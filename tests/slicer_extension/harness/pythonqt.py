"""Makes PySide6 objects look and behave like PythonQt's, which is what code inside 3D Slicer meets.

What :func:`install` changes, on PySide6's own classes and therefore in the whole process:

- Qt properties are attributes: ``label.text``, ``button.enabled = False``; ``label.text()`` fails, as in Slicer.
- Attributes that a class does not have cannot be set; on a Python subclass they can, as in Slicer.
- ``connect("clicked(bool)", slot)`` and ``disconnect`` take text; an unknown signal fails (PythonQt only warns).
- Surplus arguments of a signal are dropped; exceptions in a slot are printed and recorded in :mod:`faults`.
- Anything is taken as a bool where Qt wants one; keyword arguments, which PythonQt ignores, fail.
- Widgets used from another thread than the user interface's fail.

Hidden are PySide6's own inventions: ``signal.emit``, ``exec``, keyword arguments of constructors.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from PySide6 import QtCore, QtGui, QtTest, QtUiTools, QtWidgets

from tests.slicer_extension.harness import faults
from tests.slicer_extension.harness.meta import PropertyInfo, class_info, read_classes
from tests.slicer_extension.harness.raw import raw, remember
from tests.slicer_extension.harness.signals import Signal, connect, disconnect

QObject = QtCore.QObject
#: Methods in PythonQt too, though a property of that name exists somewhere.
_ALWAYS_METHODS = frozenset({"parent", "layout", "metaObject", "property", "setProperty", "dynamicPropertyNames"})
_BOOL_SETTERS = frozenset({"setHidden", "setDisabled", "blockSignals", "setShown"})
#: Properties with a virtual getter. On each call of it PySide6 comes here to look for an override, on behalf of C++ and
#: not of the Python code that is running, which therefore does not name it.
_VIRTUAL = frozenset({"sizeHint", "minimumSizeHint", "spacing"})
_reading: set[tuple[int, str]] = set()


def is_native(cls: type) -> bool:
    """Return whether a class is Qt's or a stand-in of a C++ class, rather than one that a module defines."""
    return cls.__module__.startswith("PySide6.") or bool(vars(cls).get("NATIVE"))


def python_member(cls: type, name: str) -> Any:
    """Return what Python code defined under a name, in a subclass or a stand-in; None if nothing."""
    for base in cls.__mro__:
        if base.__module__.startswith("PySide6."):
            return None
        if name in vars(base) and not isinstance(vars(base)[name], QtCore.Property):
            return vars(base)[name]
    return None


class Method:
    """A method of a C++ object: equal when object and name are, strict about keyword arguments, lenient about bools."""

    def __init__(self, owner: Any, name: str, call: Any) -> None:
        self.owner, self.name, self._call = owner, name, call
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            raise TypeError(f"{self}: PythonQt ignores keyword arguments ({', '.join(kwargs)}); pass them by position")
        if len(args) == 1 and _wants_bool(self.owner, self.name):
            args = (bool(args[0]),)
        return self._call(*args)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Method) and self.owner is other.owner and self.name == other.name

    def __hash__(self) -> int:
        return hash((id(self.owner), self.name))

    def __repr__(self) -> str:
        return f"{type(self.owner).__name__}.{self.name}()"


def _wants_bool(owner: Any, name: str) -> bool:
    """Return whether a setter takes one bool."""
    if name in _BOOL_SETTERS:
        return True
    if not name.startswith("set"):
        return False
    prop = class_info(owner).properties.get(name[3:4].lower() + name[4:])
    return prop is not None and prop.type_name == "bool"


def _get(self: Any, name: str) -> Any:
    """Read an attribute as PythonQt does."""
    if name.startswith("__") or name == "NATIVE":
        return raw(self, name)
    if name in _VIRTUAL:
        if name not in sys._getframe(1).f_code.co_names:
            return raw(self, name)
        if is_native(type(self)):
            return raw(self, name)()
    _require_ui_thread(self, name)
    if name in _EXTRAS:
        return Method(self, name, _EXTRAS[name].__get__(self))
    if python_member(type(self), name) is not None:
        return raw(self, name)
    if name not in _ALWAYS_METHODS and (id(self), name) not in _reading:
        found, value = _read_property(self, "objectName" if name == "name" else name)
        if found:
            return value
    if name == "exec":
        raise AttributeError("PythonQt has no exec, only exec_")
    value = raw(self, name)
    if isinstance(value, QtCore.SignalInstance):
        return Signal(self, name)
    if callable(value) and type(value).__name__ == "builtin_function_or_method":
        return Method(self, name, value)
    return value


def _read_property(self: Any, name: str) -> tuple[bool, Any]:
    """Return (True, value) of a Qt property, static or dynamic; (False, None) when there is none."""
    prop = class_info(self).properties.get(name)
    if prop is None and name.encode() not in raw(self, "dynamicPropertyNames")():
        return False, None
    # the getter of some properties is virtual; PySide6 then looks for an override, that is, comes here again
    key = (id(self), name)
    _reading.add(key)
    try:
        if prop is not None and prop.enum:
            getter = getattr(type(self), name, None)
            if callable(getter):
                return True, getter(self)
        return True, raw(self, "property")(name)
    finally:
        _reading.discard(key)


def _set(self: Any, name: str, value: Any) -> None:
    """Write an attribute as PythonQt does."""
    _require_ui_thread(self, name)
    member = python_member(type(self), name)
    if hasattr(member, "__set__"):
        member.__set__(self, value)
        return
    property_name = "objectName" if name == "name" else name
    prop = class_info(self).properties.get(property_name)
    if prop is not None:
        _write_property(self, prop, property_name, value)
    elif property_name.encode() in raw(self, "dynamicPropertyNames")():
        raw(self, "setProperty")(property_name, value)
    elif is_native(type(self)):
        raise AttributeError(
            f"{name!r} does not exist on {type(self).__name__}; new attributes on C++ objects are not allowed"
        )
    else:
        raw(self, "__dict__")[name] = value


def _write_property(self: Any, prop: PropertyInfo, name: str, value: Any) -> None:
    """Set a Qt property, converting as PythonQt does; TypeError for a value that does not fit."""
    kind = prop.type_name
    if not prop.writable:
        raise AttributeError(f"property {name!r} of {type(self).__name__} is not writable")
    if kind == "bool":
        value = bool(value)
    elif kind == "int" and isinstance(value, float):
        value = int(value)
    elif value is None or (kind == "QString" and not isinstance(value, (str, int, float))):
        raise TypeError(f"property {name!r} of type {kind} does not accept {value!r}")
    if not prop.enum and raw(self, "setProperty")(name, value):
        return
    setter = getattr(type(self), f"set{name[0].upper()}{name[1:]}", None)
    if setter is None:
        raise TypeError(f"property {name!r} of type {kind} does not accept {value!r}")
    setter(self, value)


def _require_ui_thread(self: Any, name: str) -> None:
    """Refuse a worker thread: in Slicer it crashes, sooner or later. Recorded too, since a worker may swallow it."""
    if threading.current_thread() is not threading.main_thread():
        text = f"{type(self).__name__}.{name} used on the thread {threading.current_thread().name}"
        faults.record(text)
        raise RuntimeError(text)


def _class_name(self: Any) -> str:
    """Return the C++ class name."""
    return str(raw(self, "metaObject")().className())


def _delete(self: Any) -> None:
    """Delete the C++ object when the event loop gets to it."""
    raw(self, "deleteLater")()


def _find_children(self: Any, kind: Any = QObject, name: str | None = None) -> list[Any]:
    """Return the descendants of a class (or the name of one), optionally with a name of their own."""
    cls = getattr(QtWidgets, kind, None) if isinstance(kind, str) else kind
    if cls is None:
        raise AttributeError(f"no Qt class {kind!r}")
    found = QObject.findChildren(self, cls) if name is None else QObject.findChildren(self, cls, name)
    return list(found)


def _find_child(self: Any, kind: Any = QObject, name: str | None = None) -> Any:
    """Return the first descendant of :func:`_find_children`, or None."""
    return next(iter(_find_children(self, kind, name)), None)


_EXTRAS: dict[str, Any] = {
    "connect": connect,
    "disconnect": disconnect,
    "className": _class_name,
    "delete": _delete,
    "findChildren": _find_children,
    "findChild": _find_child,
}


def install() -> None:
    """Give PySide6's classes PythonQt's look; harmless when done already."""
    if QObject.__getattribute__ is _get:
        return
    modules = (QtCore, QtGui, QtWidgets, QtUiTools, QtTest)
    found = [getattr(module, name) for module in modules for name in dir(module)]
    classes = [cls for cls in found if isinstance(cls, type) and issubclass(cls, QObject)]
    read_classes(classes)
    remember(classes)
    for cls in classes:
        setattr(cls, "__getattribute__", _get)  # noqa: B010  mypy knows better than to assign
        setattr(cls, "__setattr__", _set)  # noqa: B010
