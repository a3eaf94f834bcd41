"""What Qt's meta objects say about a class, read once per class.

Once, because it is asked for with every attribute, and before there are objects, because PySide6 declares a class's
meta object dead when one of its objects goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from PySide6 import QtCore

from tests.slicer_extension.harness.raw import raw


@dataclass(frozen=True)
class PropertyInfo:
    """A property: its C++ type, and whether it can be written and is an enum or a flag."""

    type_name: str
    writable: bool
    enum: bool


@dataclass(frozen=True)
class ClassInfo:
    """The properties by name, and the signals by signature."""

    properties: dict[str, PropertyInfo]
    signals: tuple[str, ...]


#: Properties that came with Qt 6; Slicer 5.8 to 5.12 on Qt 5 have methods of these names.
_SINCE_QT6 = {"QLayout": {"contentsMargins"}}

_known: dict[type, ClassInfo] = {}


def read_classes(classes: Iterable[Any]) -> None:
    """Read the meta objects of PySide6's own classes."""
    _known.update({cls: _read(cls.staticMetaObject) for cls in classes})


def class_info(thing: Any) -> ClassInfo:
    """Return what is known about an object's class."""
    cls = type(thing)
    if cls not in _known:
        _known[cls] = _read(raw(thing, "metaObject")())
    return _known[cls]


def property_names(cls: Any) -> set[str]:
    """Return the names of the properties of a class of which there may be no object yet."""
    names: set[str] = set()
    for base in cls.__mro__:
        if base in _known and base.__module__.startswith("PySide6."):
            return names | set(_known[base].properties)
        names |= {name for name, value in vars(base).items() if isinstance(value, QtCore.Property)}
    return names


def _read(meta: Any) -> ClassInfo:
    """Read a meta object."""
    methods = [meta.method(index) for index in range(meta.methodCount())]
    signal = QtCore.QMetaMethod.MethodType.Signal
    return ClassInfo(
        {one.name(): _info(one) for one in _properties(meta)},
        tuple(bytes(one.methodSignature()).decode() for one in methods if one.methodType() == signal),
    )


def _properties(meta: Any) -> list[Any]:
    """Return the properties that Qt 5 has too."""
    ancestors, newer = meta, set()
    while ancestors is not None:
        newer |= _SINCE_QT6.get(ancestors.className(), set())
        ancestors = ancestors.superClass()
    properties = [meta.property(index) for index in range(meta.propertyCount())]
    return [one for one in properties if one.name() not in newer]


def _info(prop: Any) -> PropertyInfo:
    """Return what is needed to know about a property."""
    return PropertyInfo(prop.typeName(), prop.isWritable(), prop.isEnumType() or prop.isFlagType())
