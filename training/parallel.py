"""Parallel jobs: in lightweight processes of this machine, or on a cluster (:mod:`training.cluster`)."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from typing import Any, ParamSpec, Protocol, TypeVar, Union

Item = TypeVar("Item")
Arguments = ParamSpec("Arguments")


class Cluster(Protocol):
    """Computes jobs elsewhere: :class:`training.cluster.jobs.RayCluster`."""

    def completed(self, work: Callable[[Any], Item], jobs: Iterable[Any]) -> Iterator[tuple[Any, Future[Item]]]:
        """As :func:`completed`."""
        ...


#: Where jobs run: a number of processes on this machine, ``None`` for one per core, 1 for this process; or a cluster.
Workers = Union[int, Cluster, None]  # noqa: UP007 - evaluated when the module is imported

#: The environment variable that limits the threads of OpenVINO, which knows none of its own.
THREADS_VARIABLE = "TUMORLOOP_THREADS"

_main_lock = threading.Lock()


def map_unordered(work: Callable[[Any], Item], jobs: Iterable[Any], workers: Workers = None) -> Iterator[Item]:
    """Yield ``work(job)`` in order of completion; the first error ends the remaining jobs.

    Args:
        work: As for :func:`completed`.
        jobs: The same.
        workers: The same.
    """
    for _, future in completed(work, jobs, workers):
        yield future.result()


def completed(
    work: Callable[[Any], Item], jobs: Iterable[Any], workers: Workers = None
) -> Iterator[tuple[Any, Future[Item]]]:
    """Yield each job with its finished future, which holds ``work(job)`` or its error, in order of completion.

    Processes are spawned, with one BLAS thread each. Only a few jobs are submitted ahead, so that results do not
    accumulate. When the caller stops iterating, the remaining jobs are dropped.

    Args:
        work: A function of an importable module (not of a script, which the children do not run).
        jobs: Its arguments; must be picklable.
        workers: Where the jobs run.
    """
    if workers is not None and not isinstance(workers, int):
        yield from workers.completed(work, jobs)
        return
    count = workers or available_cores()
    if count == 1:
        yield from ((job, _done(work, job)) for job in jobs)
        return
    waiting = iter(jobs)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_one_thread) as pool:
        running = _submit(pool, work, islice(waiting, 2 * count))
        try:
            while running:
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                answers = [(running.pop(future), future) for future in finished]
                running |= _submit(pool, work, islice(waiting, len(finished)))
                yield from answers
        finally:
            for future in running:
                future.cancel()


def available_cores() -> int:
    """Return the number of cores this process may use (fewer than the machine has, in a container)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def with_one_blas_thread(function: Callable[Arguments, Item]) -> Callable[Arguments, Item]:
    """Decorate a function so that it runs with one BLAS thread: the last digits of sums depend on their number."""

    @functools.wraps(function)
    def limited(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Item:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, user_api="blas"):
            return function(*args, **kwargs)

    return limited


def _done(work: Callable[[Any], Item], job: Any) -> Future[Item]:
    """Do a job in this process; Ctrl-C is raised at once."""
    future: Future[Item] = Future()
    try:
        future.set_result(work(job))
    except Exception as error:  # noqa: BLE001 - the future raises it
        future.set_exception(error)
    return future


def _submit(pool: ProcessPoolExecutor, work: Callable[[Any], Item], jobs: Iterable[Any]) -> dict[Future[Item], Any]:
    with _without_main():  # submitting starts the children
        return {pool.submit(work, job): job for job in jobs}


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
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
