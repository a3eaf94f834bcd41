"""Makes PySide6 objects behave like PythonQt's, which is what code inside 3D Slicer meets; in the whole process.

- Qt properties are attributes: ``label.text``, ``button.enabled = False``; ``label.text()`` fails, as in Slicer.
- Attributes that a class does not have cannot be set; on a Python subclass they can, as in Slicer.
- Anything is taken as a bool where Qt wants one; keyword arguments, which PythonQt ignores, fail.
- Widgets used from another thread than the main thread fail, and so does what only PySide6 has: ``exec``, ``emit``.
"""

import sys
import threading
from typing import Any

from PySide6 import QtCore, QtGui, QtTest, QtUiTools, QtWidgets

from tests.slicer_extension.harness import failures
from tests.slicer_extension.harness.qt_classes import PropertyInfo, class_info, raw, remember
from tests.slicer_extension.harness.signals import connect, disconnect

QObject = QtCore.QObject
#: Methods in PythonQt too, though a property of that name exists somewhere.
_ALWAYS_METHODS = frozenset({"parent", "layout", "metaObject", "property", "setProperty", "dynamicPropertyNames"})
_BOOL_SETTERS = frozenset({"setHidden", "setDisabled", "blockSignals", "setShown"})
#: Properties with a virtual getter. On each call of it PySide6 comes here to look for an override, on behalf of C++ and
#: not of the Python code that is running, which therefore does not name it.
_VIRTUAL = frozenset({"sizeHint", "minimumSizeHint", "spacing"})
_reading: set[tuple[int, str]] = set()


def _is_native(cls: type) -> bool:
    """Return whether a class is Qt's or replaces a C++ class, rather than one that a module defines."""
    return cls.__module__.startswith(("PySide6.", "tests.slicer_extension.harness."))


def _python_member(cls: type, name: str) -> Any:
    """Return what Python code defined under a name, in a subclass or a replaced C++ class; None if nothing."""
    for base in cls.__mro__:
        if base.__module__.startswith("PySide6."):
            return None
        if name in vars(base) and not isinstance(vars(base)[name], QtCore.Property):
            return vars(base)[name]
    return None


class _Method:
    """A method of a C++ object: strict about keyword arguments, lenient about bools."""

    def __init__(self, owner: Any, name: str, call: Any) -> None:
        self.owner, self.name, self._call = owner, name, call
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            raise TypeError(f"{self.name}: PythonQt ignores keyword arguments; pass {', '.join(kwargs)} by position")
        if len(args) == 1 and self._wants_bool():
            args = (bool(args[0]),)
        return self._call(*args)

    def _wants_bool(self) -> bool:
        prop = class_info(self.owner).properties.get(self.name[3:4].lower() + self.name[4:])
        is_setter = self.name.startswith("set") and prop is not None and prop.type_name == "bool"
        return is_setter or self.name in _BOOL_SETTERS


def _get(self: Any, name: str) -> Any:
    if name.startswith("__"):
        return raw(self, name)
    if name in _VIRTUAL:
        if name not in sys._getframe(1).f_code.co_names:
            return raw(self, name)
        if _is_native(type(self)):
            return raw(self, name)()
    _require_main_thread(self, name)
    if name in _EXTRAS:
        return _Method(self, name, _EXTRAS[name].__get__(self))
    if _python_member(type(self), name) is not None:
        return raw(self, name)
    if name not in _ALWAYS_METHODS and (id(self), name) not in _reading:
        found, value = _read_property(self, "objectName" if name == "name" else name)
        if found:
            return value
    value = raw(self, name)
    if name == "exec" or isinstance(value, QtCore.SignalInstance):
        raise AttributeError(f"{type(self).__name__}.{name} is PySide6's; PythonQt has exec_() and connect(text, slot)")
    if callable(value) and type(value).__name__ == "builtin_function_or_method":
        return _Method(self, name, value)
    return value


def _read_property(self: Any, name: str) -> tuple[bool, Any]:
    """Return whether there is a Qt property, static or dynamic, and its value."""
    prop = class_info(self).properties.get(name)
    if prop is None and name.encode() not in raw(self, "dynamicPropertyNames")():
        return False, None
    # the getter of some properties is virtual; PySide6 then looks for an override, that is, comes here again
    key = (id(self), name)
    _reading.add(key)
    try:
        if prop is not None and prop.enum and callable(getattr(type(self), name, None)):
            return True, getattr(type(self), name)(self)
        return True, raw(self, "property")(name)
    finally:
        _reading.discard(key)


def _set(self: Any, name: str, value: Any) -> None:
    _require_main_thread(self, name)
    property_name = "objectName" if name == "name" else name
    prop = class_info(self).properties.get(property_name)
    if prop is not None:
        _write_property(self, prop, property_name, value)
    elif property_name.encode() in raw(self, "dynamicPropertyNames")():
        raw(self, "setProperty")(property_name, value)
    elif _is_native(type(self)):
        raise AttributeError(f"{name!r} does not exist on {type(self).__name__}, and C++ objects get no new attributes")
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


def _require_main_thread(self: Any, name: str) -> None:
    """Refuse a worker thread: in Slicer it crashes, sooner or later. Recorded too, since a worker may swallow it."""
    if threading.current_thread() is not threading.main_thread():
        text = f"{type(self).__name__}.{name} used on the thread {threading.current_thread().name}"
        failures.record(text)
        raise RuntimeError(text)


_EXTRAS: dict[str, Any] = {
    "connect": connect,
    "disconnect": disconnect,
    "className": lambda self: str(raw(self, "metaObject")().className()),
}


def install() -> None:
    if QObject.__getattribute__ is _get:
        return
    modules = (QtCore, QtGui, QtWidgets, QtUiTools, QtTest)
    found = [getattr(module, name) for module in modules for name in dir(module)]
    classes = [cls for cls in found if isinstance(cls, type) and issubclass(cls, QObject)]
    remember(classes)
    for cls in classes:
        setattr(cls, "__getattribute__", _get)  # noqa: B010  mypy knows better than to assign
        setattr(cls, "__setattr__", _set)  # noqa: B010
