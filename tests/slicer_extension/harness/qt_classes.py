"""PySide6's classes as they are under the behavior that :mod:`pythonqt` gives them: attributes and meta objects."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from PySide6 import QtCore


class PropertyInfo(NamedTuple):
    type_name: str
    writable: bool
    enum: bool


class ClassInfo(NamedTuple):
    properties: dict[str, PropertyInfo]
    signals: tuple[str, ...]


_infos: dict[type, ClassInfo] = {}
#: PySide6's own look-up of each class; some (QFile) differ, where a method is static as well.
_look_ups: dict[type, Any] = {}


def remember(classes: Iterable[Any]) -> None:
    """Keep the look-up and the meta object of PySide6's classes, before the look-up is replaced.

    Meta objects are read before there are objects: PySide6 declares a class's dead when one of its objects goes.
    """
    for cls in classes:
        _infos[cls] = _read(cls.staticMetaObject)
        _look_ups[cls] = cls.__getattribute__


def raw(thing: Any, name: str) -> Any:
    """Return an attribute of a Qt object as PySide6 has it."""
    cls = type(thing)
    if cls not in _look_ups:
        _look_ups[cls] = next((_look_ups[base] for base in cls.__mro__ if base in _look_ups), cls.__getattribute__)
    return _look_ups[cls](thing, name)


def class_info(thing: Any) -> ClassInfo:
    cls = type(thing)
    if cls not in _infos:
        _infos[cls] = _read(raw(thing, "metaObject")())
    return _infos[cls]


def property_names(cls: Any) -> set[str]:
    """Return the names of the properties of a class of which there may be no object yet."""
    names: set[str] = set()
    for base in cls.__mro__:
        if base in _infos and base.__module__.startswith("PySide6."):
            return names | set(_infos[base].properties)
        names |= {name for name, value in vars(base).items() if isinstance(value, QtCore.Property)}
    return names


def _read(meta: Any) -> ClassInfo:
    methods = [meta.method(index) for index in range(meta.methodCount())]
    signals = [one for one in methods if one.methodType() == QtCore.QMetaMethod.MethodType.Signal]
    properties = {}
    for one in (meta.property(index) for index in range(meta.propertyCount())):
        properties[one.name()] = PropertyInfo(one.typeName(), one.isWritable(), one.isEnumType() or one.isFlagType())
    return ClassInfo(properties, tuple(bytes(one.methodSignature()).decode() for one in signals))
