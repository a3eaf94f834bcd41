"""The inference worker: one long-lived process that owns TensorFlow, seen from the web process.

Requests wait in the pool's queue and are computed one after the other. When the process dies (killed, out of
memory), a new one is started and what was under way is tried once more. One lock guards the pool; nothing is
computed or waited for while it is held.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from server_app import worker_child
from server_app.errors import refusal
from server_app.spawning import become_child, light_main
from server_app.worker_child import SegmentJob

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class InferenceWorker:
    """Runs functions of :mod:`server_app.worker_child` in its process.

    Args:
        models: The model store's folder.
        bundled: Folder of the model to start with.
        timeout: Seconds an inference may take, waiting included.
    """

    def __init__(self, models: Path, bundled: Path, timeout: float = 600.0) -> None:
        self.models = models
        self.bundled = bundled
        self._timeout = timeout
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False

    def segment(self, job: SegmentJob) -> dict[str, Any]:
        """Compute one inference and wait for it.

        Raises:
            InputError: As :func:`server_app.worker_child.segment`.
            HTTPException: 503 if the process died twice, 504 if it took too long.
        """
        return self.call(worker_child.segment, job)

    def warm_up(self) -> None:
        """Start the process and load the network, without waiting for it."""

        def report(future: Future[str]) -> None:
            error = None if future.cancelled() else future.exception()
            if error is not None:
                logger.warning("The inference process could not be warmed up: %s", error)
            else:
                logger.info("The inference process is ready.")

        self._submit(worker_child.warm_up, self.models, self.bundled)[1].add_done_callback(report)

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run an importable function in the process and return what it returns."""
        for attempt in (1, 2):
            pool, future = self._submit(function, *arguments)
            try:
                return future.result(self._timeout)
            except (BrokenProcessPool, CancelledError):
                self._drop(pool)
                logger.warning("The inference process died (attempt %d).", attempt)
            except TooLate:
                future.cancel()
                self._drop(pool)
                raise refusal(504, "", f"The inference took longer than {self._timeout:.0f} s and was ended.") from None
        raise refusal(503, "", "The inference process died twice; perhaps the machine is out of memory.")

    def close(self) -> None:
        """End the process, also in the middle of a computation."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            _kill(pool)

    def _submit(self, function: Callable[..., Result], *arguments: Any) -> tuple[ProcessPoolExecutor, Future[Result]]:
        with self._lock:
            if self._closed:
                raise refusal(503, "", "The server is shutting down.")
            if self._pool is not None:
                try:
                    return self._pool, self._pool.submit(function, *arguments)
                except BrokenProcessPool:  # died while idle
                    self._pool = None
            self._pool = ProcessPoolExecutor(
                1, mp_context=multiprocessing.get_context("spawn"), initializer=become_child
            )
            with light_main():  # the first submission starts the process
                return self._pool, self._pool.submit(function, *arguments)

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        _kill(pool)


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)
