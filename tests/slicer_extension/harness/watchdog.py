"""Records what kept the user interface waiting: every slot or event that held its thread for more than 100 ms.

Time is taken around what the event loop calls: slots, timers, mouse and key presses of :mod:`driver`, and each turn of
the loop. The outermost such section counts, with a note of the code that was running when the limit passed. Time in
which the thread could have run but other programs had the processor does not count, where the system says so (Linux).
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Seconds that the user interface may be kept waiting.
LIMIT = 0.1


@dataclass(frozen=True)
class Block:
    """One time that the user interface was kept waiting.

    Attributes:
        what: The slot or event.
        seconds: How long, without the time in which other programs had the processor.
        cpu_seconds: Processor time of the thread in it; much less than ``seconds`` means that it waited for something.
        where: Innermost lines of Python when the limit passed, outermost first.
    """

    what: str
    seconds: float
    cpu_seconds: float
    where: str

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.seconds * 1000:.0f} ms ({self.cpu_seconds * 1000:.0f} ms of processor)\n{self.where}"
        )


#: Nanoseconds on the processor and waiting for it, of the thread that reads.
_SCHEDULER = Path("/proc/thread-self/schedstat")

_blocks: list[Block] = []
_running: list[str] = []


def take() -> list[Block]:
    """Return the blocks since the last call and forget them."""
    taken = list(_blocks)
    _blocks.clear()
    return taken


@contextlib.contextmanager
def section(what: str) -> Iterator[None]:
    """Time a piece of work of the user interface's thread; inside another section it is part of that one."""
    if _running or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = len(_blocks)
    looker = _Looker(threading.get_ident())
    _running.append(what)
    start, cpu_start = _clock(), time.thread_time()
    try:
        yield
    finally:
        seconds, cpu_seconds = _clock() - start, time.thread_time() - cpu_start
        _running.pop()
        where = looker.stop()
        if seconds > LIMIT and len(_blocks) == before:
            _blocks.append(Block(what, seconds, cpu_seconds, where))


@contextlib.contextmanager
def turn_of_the_loop() -> Iterator[None]:
    """Time one turn of the event loop; what a slot in it recorded is not recorded twice."""
    before = len(_blocks)
    start, cpu_start = _clock(), time.thread_time()
    yield
    seconds, cpu_seconds = _clock() - start, time.thread_time() - cpu_start
    if not _running and seconds > LIMIT and len(_blocks) == before:
        _blocks.append(Block("a turn of the event loop", seconds, cpu_seconds, ""))


def _clock() -> float:
    """Return seconds that stand still while this thread is ready to run but has no processor."""
    try:
        queued = int(_SCHEDULER.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        queued = 0.0
    return time.perf_counter() - queued


class _Looker:
    """Looks once, when the limit has passed, what a thread is doing."""

    def __init__(self, thread: int) -> None:
        self._thread = thread
        self._where = ""
        self._timer = threading.Timer(LIMIT, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        frame = sys._current_frames().get(self._thread)
        if frame is not None:
            self._where = "".join(traceback.format_stack(frame)[-4:])

    def stop(self) -> str:
        """End and return what was seen."""
        self._timer.cancel()
        return self._where
