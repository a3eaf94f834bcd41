"""Qt's event loop as it runs in Slicer: it keeps Python's global interpreter lock, and what blocks it is recorded.

A Python thread makes progress only while the main thread runs Python that releases the lock, as a slot that sleeps.
"""

import contextlib
import functools
import operator
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PySide6 import QtTest

#: Seconds for which the main thread may be blocked.
LIMIT = 0.1
#: Milliseconds of the event loop between two looks at what the test waits for.
SLICE = 20
#: Python's switch interval, in seconds, while Python runs and while the event loop does.
_NORMAL, _NEVER = 0.005, 1000.0
#: Nanoseconds on the processor and waiting for it, of the thread that reads (Linux).
_SCHEDULER = Path("/proc/thread-self/schedstat")


class Block(NamedTuple):
    """A slot or event that blocked the main thread too long; other programs' time does not count on Linux."""

    what: str
    seconds: float


_blocks: list[Block] = []
_active: list[str] = []
_seconds_in_nested_loops = 0.0


def take_blocks() -> list[Block]:
    taken, _blocks[:] = _blocks[:], []
    return taken


@contextlib.contextmanager
def timed(what: str) -> Iterator[None]:
    """Time a slot or an event on the main thread; inside another one it is part of that one."""
    if _active or threading.current_thread() is not threading.main_thread():
        yield
        return
    interval, before, start = sys.getswitchinterval(), len(_blocks), _clock()
    sys.setswitchinterval(_NORMAL)
    _active.append(what)
    try:
        yield
    finally:
        _active.pop()
        _record(what, _clock() - start, before)
        sys.setswitchinterval(interval)


def _record(what: str, seconds: float, before: int) -> None:
    if seconds > LIMIT and len(_blocks) == before:
        _blocks.append(Block(what, seconds))


def run(seconds: float = 0.0) -> None:
    """Run the event loop; 0 handles the events that are waiting."""
    end = time.monotonic() + seconds
    while True:
        milliseconds = max(0, min(SLICE, round((end - time.monotonic()) * 1000)))
        before, start = len(_blocks), _clock()
        _run_with_the_lock(milliseconds)
        if not _active:
            _record("the event loop", _clock() - start - milliseconds / 1000, before)
        if time.monotonic() >= end:
            return


def run_nested(seconds: float) -> None:
    """Run the event loop inside a slot, as a modal dialog does; the slot does not block the main thread meanwhile."""
    global _seconds_in_nested_loops
    start, active = time.perf_counter(), list(_active)
    _active.clear()
    run(seconds)
    _active.extend(active)
    _seconds_in_nested_loops += time.perf_counter() - start


def _run_with_the_lock(milliseconds: int) -> None:
    """Run the event loop without letting another thread run, except where a slot does.

    PySide6 keeps the lock in ``qWait``. A thread that waits for it asks for it after the switch interval and gets it at
    the next instruction of Python. So the interval is changed in the same call of C, in which there are none.
    """
    steps = (
        functools.partial(sys.setswitchinterval, _NEVER),
        functools.partial(QtTest.QTest.qWait, milliseconds),
        functools.partial(sys.setswitchinterval, _NORMAL),
    )
    deque(map(operator.methodcaller("__call__"), steps), maxlen=0)


def _clock() -> float:
    """Return seconds that stand still in nested loops and while this thread is ready but other programs run."""
    queued = int(_SCHEDULER.read_text().split()[1]) / 1e9 if sys.platform == "linux" else 0.0
    return time.perf_counter() - queued - _seconds_in_nested_loops
