"""What went wrong where no test could see it: exceptions in slots, in paint events, in MRML observers, on threads.

PythonQt and VTK print such an exception and go on. So does the harness, but it also remembers it, and the fixtures fail
the test at its end, unless the test :func:`expect`\\ s it.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType

_recorded: list[str] = []
_lock = threading.Lock()


def record(text: str) -> None:
    """Remember one fault."""
    with _lock:
        _recorded.append(text)


def record_exception(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """Remember an exception that nobody caught, and print it as Python does."""
    text = "".join(traceback.format_exception(kind, error, trace))
    record(text)
    sys.stderr.write(text)


def take() -> list[str]:
    """Return all faults since the last call and forget them."""
    with _lock:
        taken = list(_recorded)
        _recorded.clear()
    return taken


def fail_if_any() -> None:
    """Raise an :class:`AssertionError` that names every fault since the last call."""
    found = take()
    if found:
        raise AssertionError(f"{len(found)} uncaught in slots, observers or threads:\n\n" + "\n\n".join(found))


@contextlib.contextmanager
def expect(text: str) -> Iterator[None]:
    """Demand that the block records at least one fault, and that each one contains ``text``; forget those."""
    fail_if_any()
    yield
    found = take()
    if not found:
        raise AssertionError(f"no fault was recorded, expected one with {text!r}")
    others = [fault for fault in found if text not in fault]
    if others:
        raise AssertionError("other faults than expected:\n\n" + "\n\n".join(others))


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Record what reaches ``sys.excepthook`` or ``threading.excepthook`` during the block."""
    hooks = sys.excepthook, threading.excepthook
    sys.excepthook = record_exception
    threading.excepthook = _record_thread
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook = hooks


def _record_thread(arguments: threading.ExceptHookArgs) -> None:
    """Record the exception that ended a thread."""
    record_exception(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
