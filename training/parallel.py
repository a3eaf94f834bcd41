"""Parallel jobs in lightweight processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from typing import Any, TypeVar

Item = TypeVar("Item")

_main_lock = threading.Lock()


def map_unordered(work: Callable[[Any], Item], jobs: Iterable[Any], workers: int | None = None) -> Iterator[Item]:
    """Yield ``work(job)`` in order of completion, from spawned processes with one BLAS thread each.

    Only a few jobs are submitted ahead, so that results do not accumulate. An error ends the remaining jobs.

    Args:
        work: A function of an importable module (not of a script, which the children do not run).
        jobs: Its arguments; must be picklable.
        workers: Number of processes; ``None`` for one per core, 1 to run in this process.
    """
    count = workers or available_cores()
    if count == 1:
        yield from (work(job) for job in jobs)
        return
    waiting = iter(jobs)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_one_thread) as pool:
        running = _submit(pool, work, islice(waiting, 2 * count))
        try:
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                running |= _submit(pool, work, islice(waiting, len(finished)))
                yield from (future.result() for future in finished)
        finally:
            for future in running:
                future.cancel()


def available_cores() -> int:
    """Return the number of cores this process may use (fewer than the machine has, in a container)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _submit(pool: ProcessPoolExecutor, work: Callable[[Any], Item], jobs: Iterable[Any]) -> set[Future[Item]]:
    with _without_main():  # submitting starts the children
        return {pool.submit(work, job) for job in jobs}


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Keep spawned children from importing ``__main__``, which may be a server with all its libraries."""
    main = sys.modules["__main__"]
    with _main_lock:
        kept = {name: getattr(main, name) for name in ("__spec__", "__file__") if hasattr(main, name)}
        for name in kept:
            setattr(main, name, None)
        try:
            yield
        finally:
            for name, value in kept.items():
                setattr(main, name, value)


def _one_thread() -> None:
    """Limit BLAS to one thread, leaving the other cores to the other processes."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(1)
