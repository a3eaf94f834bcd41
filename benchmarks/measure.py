"""Measuring in turns, and the memory of a program with all its processes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import psutil

Found = TypeVar("Found")


def in_turns(
    rounds: int, runs: Mapping[str, Callable[[int], Found]], done: Callable[[], None] = lambda: None
) -> dict[str, list[Found]]:
    """Run each of several functions in every round, in alternating order, so that all meet the same busy machine.

    Args:
        rounds: How often.
        runs: By name; called with the number of the round.
        done: Called after each.

    Returns:
        By name, what they returned.
    """
    found: dict[str, list[Found]] = {name: [] for name in runs}
    for number in range(rounds):
        for name in list(runs) if number % 2 == 0 else reversed(list(runs)):
            found[name].append(runs[name](number))
            done()
    return found


class MemoryWatch:
    """The resident memory of a process and all its descendants, in MiB: the sum, and the largest one so far.

    Pages that several processes share are counted in each.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.peak = 0.0

    def now(self) -> float:
        """Return the sum now."""
        total = 0
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in (self._process, *self._process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    total += process.memory_info().rss
        return total / 2**20

    @contextmanager
    def watching(self, seconds: float = 0.05) -> Iterator[MemoryWatch]:
        """Look every so many seconds until the block ends; :attr:`peak` is that of the block."""
        self.peak = self.now()
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(seconds):
                self.peak = max(self.peak, self.now())

        watcher = threading.Thread(target=watch, name="memory-watch", daemon=True)
        watcher.start()
        try:
            yield self
        finally:
            stop.set()
            watcher.join()
            self.peak = max(self.peak, self.now())
