"""Failures in slots, paint events, MRML observers and threads, and Qt's warnings: PythonQt and VTK print and go on.

So does the harness, but it also records them, and the fixtures fail the test at its end.
"""

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
    record("".join(traceback.format_exception(*error)))
    sys.stderr.write(_recorded[-1])


@contextlib.contextmanager
def recording() -> Iterator[None]:
    """Record what reaches ``sys.excepthook`` or ``threading.excepthook`` in the block, and fail at its end if any."""
    hooks = sys.excepthook, threading.excepthook
    sys.excepthook = _record_exception
    threading.excepthook = lambda args: _record_exception(args.exc_type, args.exc_value, args.exc_traceback)
    _recorded.clear()
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook = hooks
        found = _recorded[:]
        _recorded.clear()
    if found:
        raise AssertionError(f"{len(found)} failures in slots, observers or threads:\n\n" + "\n\n".join(found))
