"""Signals by their text, as PythonQt connects them: ``button.connect("clicked(bool)", slot)``."""

import inspect
import sys
import weakref
from typing import Any

from PySide6 import QtCore

from tests.slicer_extension.harness import event_loop
from tests.slicer_extension.harness.qt_classes import class_info, raw

_senders: weakref.WeakSet[Any] = weakref.WeakSet()


class Connection:
    handle: Any = None

    def __init__(self, signature: str, slot: Any) -> None:
        self.signature, self.slot = signature, slot

    def deliver(self, *args: Any) -> None:
        """Call the slot; an exception is printed and recorded, and the sender goes on."""
        count = _argument_count(self.slot)
        try:
            with event_loop.timed(f"{self.signature} -> {getattr(self.slot, '__qualname__', None) or self.slot!r}"):
                self.slot(*(args if count is None else args[:count]))
        except Exception:  # noqa: BLE001  whatever it is, PythonQt prints it and goes on
            sys.excepthook(*sys.exc_info())

    def end(self) -> None:
        if self.handle is not None:
            QtCore.QObject.disconnect(self.handle)


def connect(self: Any, signal: str, *target: Any) -> bool:
    """Connect a signal, by exactly a signature that the class has, to a callable or a receiver and its slot's text."""
    signature = _checked(self, signal)
    slot = target[0] if len(target) == 1 else getattr(target[0], target[1].split("(")[0])
    if not callable(slot):
        raise TypeError(f"{signal} of {type(self).__name__} cannot be connected to {slot!r}, which is not callable")
    connection = Connection(signature, slot)
    if signature not in _custom_signals(self):
        # through a plain function: PySide6 would hold a bound method weakly
        connection.handle = QtCore.QObject.connect(self, f"2{signature}", lambda *args: connection.deliver(*args))
    _connections(self).append(connection)
    _senders.add(self)
    return True


def disconnect(self: Any, signal: str, slot: Any = None) -> bool:
    signature = _checked(self, signal)
    connections = _connections(self)
    ended = [one for one in connections if one.signature == signature and (slot is None or one.slot == slot)]
    for connection in ended:
        connections.remove(connection)
        connection.end()
    return bool(ended)


def disconnect_all() -> None:
    """End all connections of all objects: Python cannot see through Qt that senders and slots keep each other alive."""
    for sender in list(_senders):
        for connection in _connections(sender):
            connection.end()
        _connections(sender).clear()
    _senders.clear()


def emit(self: Any, signature: str, *args: Any) -> None:
    for connection in list(_connections(self)):
        if connection.signature == signature and not raw(self, "signalsBlocked")():
            connection.deliver(*args)


def _custom_signals(self: Any) -> tuple[str, ...]:
    """Return the signals that a replaced C++ class declares, with Slicer's signatures."""
    return tuple(signal for base in type(self).__mro__ for signal in vars(base).get("SIGNALS", ()))


def _checked(self: Any, signal: Any) -> str:
    """Return the normal form of a signal's text; AttributeError if the object has none such."""
    signature = bytes(QtCore.QMetaObject.normalizedSignature(signal)).decode()
    known = {*_custom_signals(self), *class_info(self).signals}
    if signature not in known:
        raise AttributeError(f"{type(self).__name__} has no signal {signal!r}; it has {', '.join(sorted(known))}")
    return signature


def _connections(self: Any) -> list[Connection]:
    return raw(self, "__dict__").setdefault("_pythonqt_connections", [])


def _argument_count(slot: Any) -> int | None:
    """Return how many arguments PythonQt passes: as many as a Python function takes, to anything else all (None)."""
    if not (inspect.isfunction(slot) or inspect.ismethod(slot)):
        return None
    kinds = [parameter.kind for parameter in inspect.signature(slot).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return None
    return sum(kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds)
