"""Qt objects as PySide6 shows them, under the look of PythonQt that :mod:`pythonqt` gives them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: PySide6's own look-up of each class; some (QFile) differ, where a method is static as well.
_look_up: dict[type, Any] = {}


def remember(classes: Iterable[type]) -> None:
    """Keep the look-up of PySide6's classes, before it is replaced."""
    _look_up.update({cls: cls.__getattribute__ for cls in classes})


def raw(thing: Any, name: str) -> Any:
    """Return an attribute of a Qt object as PySide6 has it."""
    cls = type(thing)
    if cls not in _look_up:
        _look_up[cls] = next((_look_up[base] for base in cls.__mro__ if base in _look_up), None) or cls.__getattribute__
    return _look_up[cls](thing, name)
