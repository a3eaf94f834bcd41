"""Where the time goes: seconds per stage of the work that is being done.

Code marks its stages with :func:`span`; whoever wants to know wraps the work in :func:`recorded`. Otherwise a span
costs about a microsecond. Nested spans are subtracted from the one around them, so that a thread's seconds add up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")


class Spans:
    """Seconds by name of the stage, in the order in which the stages first ended. Thread-safe."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add seconds by stage, such as those of another process."""
        with self._lock:
            for name, value in seconds.items():
                self.seconds[name] = self.seconds.get(name, 0.0) + value

    def rounded(self) -> dict[str, float]:
        """Return the seconds by stage, rounded to milliseconds."""
        with self._lock:
            return {name: round(value, 3) for name, value in self.seconds.items()}


_RECORD: ContextVar[Spans | None] = ContextVar("spans", default=None)
#: The seconds of the spans inside the current one.
_INSIDE: ContextVar[list[float] | None] = ContextVar("spans-inside", default=None)


@contextmanager
def recorded() -> Iterator[Spans]:
    """Record the spans of the block; those of an outer recording do not get them."""
    spans = Spans()
    token, inside = _RECORD.set(spans), _INSIDE.set(None)
    try:
        yield spans
    finally:
        _RECORD.reset(token)
        _INSIDE.reset(inside)


@contextmanager
def span(name: str) -> Iterator[None]:
    """Add the time of the block to the stage ``name``, without that of spans within; nothing if none is recorded."""
    spans = _RECORD.get()
    if spans is None:
        yield
        return
    outer = _INSIDE.get()
    inside: list[float] = []
    token = _INSIDE.set(inside)
    started = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - started
        _INSIDE.reset(token)
        if outer is not None:
            outer.append(seconds)
        spans.add({name: max(0.0, seconds - sum(inside))})


def add_spans(seconds: Mapping[str, float]) -> None:
    """Add the seconds of stages that were measured elsewhere, such as in another process."""
    spans = _RECORD.get()
    if spans is not None:
        spans.add(seconds)


def in_threads(function: Callable[P, Result]) -> Callable[P, Result]:
    """Return a function for other threads, whose spans belong to the recording of the calling thread.

    The stages of threads that run side by side are added up: together they may exceed the time that has passed.
    """
    context = copy_context()

    def run(*arguments: P.args, **keywords: P.kwargs) -> Result:
        return context.copy().run(function, *arguments, **keywords)

    return run
