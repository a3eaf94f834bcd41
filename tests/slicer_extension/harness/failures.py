"""Failures that the test's own code cannot see: in slots, paint events, MRML observers and threads, and Qt's warnings.

PythonQt and VTK print an exception and go on. So does the harness, but it also records it, and the fixtures fail the
test at its end unless the test :func:`expect`\\ s it.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

_recorded: list[str] = []


def record(text: str) -> None:
    _recorded.append(text)


def _record_exception(*error: Any) -> None:
    """Record an exception that nothing caught, and print it as Python does."""
    record("".join(traceback.format_exception(*error)))
    sys.stderr.write(_recorded[-1])


def _take() -> list[str]:
    taken = _recorded[:]
    del _recorded[: len(taken)]
    return taken


def fail_if_any() -> None:
    """Raise an AssertionError that names every failure since the last call."""
    found = _take()
    if found:
        raise AssertionError(f"{len(found)} failures in slots, observers or threads:\n\n" + "\n\n".join(found))


@contextlib.contextmanager
def expect(text: str) -> Iterator[None]:
    """Require that the block records at least one failure and that each one contains ``text``; forget those."""
    fail_if_any()
    yield
    found = _take()
    if not found:
        raise AssertionError(f"no failure was recorded, expected one with {text!r}")
    others = [failure for failure in found if text not in failure]
    if others:
        raise AssertionError("other failures than expected:\n\n" + "\n\n".join(others))


@contextlib.contextmanager
def recording() -> Iterator[None]:
    """Record what reaches ``sys.excepthook`` or ``threading.excepthook`` in the block, and fail at its end if any."""
    hooks = sys.excepthook, threading.excepthook
    sys.excepthook = _record_exception
    threading.excepthook = lambda args: _record_exception(args.exc_type, args.exc_value, args.exc_traceback)
    _take()
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook = hooks
    fail_if_any()
