"""A process of its own for what is measured: its own threads, its own memory, its own libraries."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from training.hardware import silence_backend_logs


@dataclass(frozen=True)
class Timed:
    """Seconds, processor seconds, and what a function has returned."""

    seconds: float
    cpu: float
    result: Any


class Alone:
    """Runs functions of importable modules in one process, which ends with the block; it keeps their modules' state.

    Args:
        prepare: Called in the process first.
    """

    def __init__(self, prepare: Callable[[], None] | None = None) -> None:
        self._prepare = prepare

    def __enter__(self) -> Alone:
        silence_backend_logs()  # the child inherits the environment
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=self._prepare)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function and return what it returns."""
        return self._pool.submit(function, *arguments).result()

    def timed(self, function: Callable[..., Any], *arguments: Any) -> Timed:
        """Run a function and measure it inside of the process."""
        return self.call(_timed, function, arguments)

    def peak_mib(self) -> float:
        """Return the largest resident memory that the process has had."""
        return float(self.call(peak_mib))


def peak_mib() -> float:
    """Return the largest resident memory of this process in MiB, since its program was started."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):  # getrusage would include what the parent had when it forked
            return int(line.split()[1]) / 1024
    raise OSError("The system does not tell the peak memory of a process.")


def _timed(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Timed:
    started, used = time.perf_counter(), time.process_time()
    result = function(*arguments)
    return Timed(time.perf_counter() - started, time.process_time() - used, result)
