"""Signals by their text, as PythonQt connects them: ``button.connect("clicked(bool)", slot)``."""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore

from tests.slicer_extension.harness import watchdog
from tests.slicer_extension.harness.meta import class_info
from tests.slicer_extension.harness.raw import raw

_senders: weakref.WeakSet[Any] = weakref.WeakSet()


class Signal:
    """What ``button.clicked`` is: connect and disconnect without arguments in text, call it to emit."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name

    def _signature(self, count: int | None = None) -> str:
        """Return the signature with as many arguments; with None, the one with the most."""
        candidates = [known for known in signatures(self._owner) if known.split("(")[0] == self._name]
        counts = {known: known.count(",") + (not known.endswith("()")) for known in candidates}
        fitting = [known for known in candidates if count is None or counts[known] == count]
        if not fitting:
            raise TypeError(f"no signal {self._name} of {type(self._owner).__name__} has {count} arguments")
        return max(fitting, key=lambda known: counts[known])

    def connect(self, slot: Callable[..., Any]) -> bool:
        """Call a slot on every emission."""
        return connect(self._owner, self._signature(), slot)

    def disconnect(self, slot: Callable[..., Any] | None = None) -> bool:
        """End a connection."""
        return disconnect(self._owner, self._signature(), slot)

    def __call__(self, *args: Any) -> None:
        types = self._signature(len(args)).partition("(")[2].rstrip(")")
        signal = raw(self._owner, self._name)
        (signal[tuple(types.split(","))] if types else signal).emit(*args)


class Connection:
    """One slot connected to one signal."""

    def __init__(self, signature: str, slot: Any) -> None:
        self.signature, self.slot = signature, slot
        self.handle: Any = None

    def deliver(self, *args: Any) -> None:
        """Call the slot; an exception is printed and recorded, and the emitter goes on."""
        count = _argument_count(self.slot)
        try:
            with watchdog.section(f"{self.signature} -> {_name_of(self.slot)}"):
                self.slot(*(args if count is None else args[:count]))
        except Exception:  # noqa: BLE001  whatever it is, PythonQt prints it and goes on
            sys.excepthook(*sys.exc_info())


def connect(self: Any, signal: str, *target: Any) -> bool:
    """Connect a signal to a callable, or to a receiver's slot given as text.

    Args:
        self: The sender.
        signal: For example ``clicked(bool)``; exactly a signature that the class has.
        target: A callable, or a receiver and for example ``setEnabled(bool)``.

    Returns:
        True.

    Raises:
        AttributeError: If there is no such signal or slot. PythonQt warns and returns False.
    """
    signature = _checked(self, signal)
    slot = target[0] if len(target) == 1 else _slot_of(*target)
    if not callable(slot):
        raise TypeError(f"{signal} of {type(self).__name__} cannot be connected to {slot!r}, which is not callable")
    connection = Connection(signature, slot)
    if signature in custom_signals(self):
        connection.handle = None
    else:
        # through a plain function: PySide6 would hold a bound method weakly
        connection.handle = QtCore.QObject.connect(self, f"2{signature}", lambda *args: connection.deliver(*args))
        if not connection.handle:
            raise RuntimeError(f"cannot connect to {signal} of {type(self).__name__}")
    _connections(self).append(connection)
    _senders.add(self)
    return True


def disconnect(self: Any, signal: str, slot: Any = None) -> bool:
    """End the connections of a signal, of all or of one slot; returns whether there was one."""
    signature = _checked(self, signal)
    connections = _connections(self)
    ended = [one for one in connections if one.signature == signature and (slot is None or one.slot == slot)]
    for connection in ended:
        connections.remove(connection)
        if connection.handle is not None:
            QtCore.QObject.disconnect(connection.handle)
    return bool(ended)


def disconnect_all() -> None:
    """End all connections of all objects: Python cannot see through Qt that senders and slots keep each other alive."""
    for sender in list(_senders):
        for connection in _connections(sender):
            if connection.handle is not None:
                QtCore.QObject.disconnect(connection.handle)
        _connections(sender).clear()
    _senders.clear()


def emit(self: Any, signature: str, *args: Any) -> None:
    """Emit a signal that a stand-in declares in ``SIGNALS``."""
    if signature not in custom_signals(self):
        raise AttributeError(f"{type(self).__name__} declares no signal {signature!r}")
    if raw(self, "signalsBlocked")():
        return
    for connection in list(_connections(self)):
        if connection.signature == signature:
            connection.deliver(*args)


def signatures(self: Any) -> list[str]:
    """Return all signals of an object, for example ``clicked(bool)``."""
    return [*custom_signals(self), *class_info(self).signals]


def custom_signals(self: Any) -> tuple[str, ...]:
    """Return the signals that a stand-in declares, with Slicer's signatures."""
    return tuple(signal for base in type(self).__mro__ for signal in vars(base).get("SIGNALS", ()))


def _checked(self: Any, signal: Any) -> str:
    """Return the normal form of a signal's text; AttributeError if the object has none such."""
    if not isinstance(signal, str):
        raise TypeError(f"connect wants a signal's text such as 'clicked(bool)', not {signal!r}")
    signature = bytes(QtCore.QMetaObject.normalizedSignature(signal)).decode()
    known = signatures(self)
    if signature not in known:
        raise AttributeError(f"{type(self).__name__} has no signal {signal!r}; it has {', '.join(sorted(known))}")
    return signature


def _slot_of(receiver: Any, slot: str) -> Any:
    """Return a receiver's method from text such as ``setEnabled(bool)``."""
    method = getattr(receiver, slot.split("(")[0])
    if not callable(method):
        raise AttributeError(f"{type(receiver).__name__} has no slot {slot!r}")
    return method


def _connections(self: Any) -> list[Connection]:
    """Return an object's connections, which live as long as it does."""
    held: list[Connection] = raw(self, "__dict__").setdefault("_pythonqt_connections", [])
    return held


def _argument_count(slot: Any) -> int | None:
    """Return how many arguments PythonQt passes: as many as a Python function takes, to anything else all (None)."""
    if not (inspect.isfunction(slot) or inspect.ismethod(slot)):
        return None
    parameters = list(inspect.signature(slot).parameters.values())
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(parameter.kind in positional for parameter in parameters)


def _name_of(slot: Any) -> str:
    """Return a slot's name for a report."""
    return getattr(slot, "__qualname__", None) or repr(slot)
