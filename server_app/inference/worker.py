"""The inference worker: one long-lived process that runs the network, as the web process uses it.

Requests wait in :class:`server_app.inference.queue.InferenceQueue` and are computed one at a time. If the process dies
(killed, out of memory), a new one is started and the computation is tried once more; if a computation is cancelled, the
process is killed and a new one is prepared. One lock guards the pool; nothing is computed or waited for while it is
held. The queue's lock is taken before it, never after.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from server_app.common.metrics import INFERENCE_SECONDS, INFERENCES, WORKER_DEATHS
from server_app.errors import refusal
from server_app.inference import worker_child
from server_app.inference.queue import InferenceQueue, Ticket
from server_app.inference.worker_child import STAGES, PreprocessJob, SegmentJob
from server_app.spawning import hidden_main
from training.clock import now
from training.errors import InputError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class InferenceWorker:
    """Runs functions of :mod:`server_app.inference.worker_child` in its process.

    Args:
        models: The model store's folder.
        bundled: Folder of the initial model.
        timeout: Seconds an inference may take, waiting included.
        engine: What computes (:func:`training.prediction.engine.load_engine`).
    """

    def __init__(self, models: Path, bundled: Path, timeout: float = 600.0, engine: str | None = None) -> None:
        self.models = models
        self.bundled = bundled
        self.engine = engine
        self._timeout = timeout
        self._queue = InferenceQueue()
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._progress: Any = [0.0, 0.0]
        self._closed = False
        self._deaths = 0
        self._last_death: dict[str, str] | None = None
        self._recorded: int | None = None
        self._recording = threading.Lock()

    def segment(
        self,
        job: SegmentJob,
        ticket: Ticket | None = None,
        find: Callable[[], dict[str, Any] | None] = lambda: None,
        keep: Callable[[dict[str, Any]], None] = lambda facts: None,
    ) -> dict[str, Any]:
        """Compute one inference and wait for it.

        Args:
            job: What to compute.
            ticket: For its progress, and to cancel it.
            find: Called when its turn has come; a result it returns is taken instead of computing one.
            keep: Called with what was computed, before the next one's turn.

        Raises:
            InputError: As :func:`server_app.inference.worker_child.segment`.
            HTTPException: 499 if it was cancelled, 503 if the process died twice or too many wait, 504 if it took too
                long.
        """
        outcome = "failed"
        try:
            facts = self.call(worker_child.segment, job, ticket=ticket, find=find, keep=keep)
            outcome = "reused" if facts.get("reused") else "computed"
            if outcome == "computed":
                INFERENCE_SECONDS.observe(facts["seconds"]["total"])
            return facts
        except InputError:
            outcome = "refused"
            raise
        finally:
            INFERENCES.labels("cancelled" if ticket is not None and ticket.cancelled else outcome).inc()

    def preprocess(self, job: PreprocessJob, ticket: Ticket | None = None) -> bool:
        """Preprocess volumes that become a case, and wait for it; return whether preprocessed ones were written.

        Raises:
            InputError: If the volumes cannot be used.
            HTTPException: As :meth:`segment`.
        """
        return self.call(worker_child.preprocess, job, ticket=ticket)

    def reused(self, ticket: Ticket | None) -> None:
        """Count an inference that needed no computation; 499 if it was cancelled before."""
        self._queue.skip(ticket or Ticket())
        INFERENCES.labels("reused").inc()

    def status(self) -> dict[str, Any]:
        """Describe the process.

        Returns:
            ``state``: ``ready`` (it is running), ``idle`` (one is started for the next inference) or ``ended``;
            ``queue``: how many are computing or waiting; ``deaths``: how often it died since the server was started;
            and ``last_death``: ``time`` and ``message``, or ``None``.
        """
        pool, closed = self._pool, self._closed
        alive = pool is not None and not getattr(pool, "_broken", False)
        if pool is not None and not alive and not closed:
            self._record_death(pool)
        state = "ended" if closed else "ready" if alive else "idle"
        queue = self._queue.length()
        return {"state": state, "queue": queue, "deaths": self._deaths, "last_death": self._last_death}

    def warm_up(self) -> None:
        """Start the process and load the network, without waiting for it."""

        def load() -> None:
            try:
                self.call(worker_child.warm_up, self.models, self.bundled, self.engine)
                logger.info("The inference process is ready.")
            except Exception as error:  # noqa: BLE001 - the first inference reports it to its client
                logger.warning("The inference process could not be warmed up: %s", error)

        threading.Thread(target=load, name="tumorloop-warm-up", daemon=True).start()

    def call(
        self,
        function: Callable[..., Result],
        *arguments: Any,
        ticket: Ticket | None = None,
        find: Callable[[], Result | None] = lambda: None,
        keep: Callable[[Result], None] = lambda result: None,
    ) -> Result:
        """Run an importable function in the process when its turn has come, and return its result."""
        ticket = ticket or Ticket()
        deadline = time.monotonic() + self._timeout
        with self._queue.slot(ticket, deadline):
            found = find()
            if found is not None:
                return found
            for _ in (1, 2):
                pool, future = self._submit(ticket, function, *arguments)
                try:
                    result = future.result(max(0.0, deadline - time.monotonic()))
                    keep(result)
                    return result
                except (BrokenProcessPool, CancelledError):
                    if not ticket.cancelled and not self._closed:
                        self._record_death(pool)
                    self._drop(pool)
                except FutureTimeout:
                    self._drop(pool)
                    message = f"The inference took longer than {self._timeout:.0f} s and was ended."
                    raise refusal(504, "", message) from None
            raise refusal(503, "", "The inference process died twice; the machine may be out of memory.")

    def cancel(self, ticket: Ticket) -> None:
        """Cancel a ticket, even while it is being computed; does nothing once it has finished."""
        computing: list[ProcessPoolExecutor | None] = []
        self._queue.cancel(ticket, lambda: computing.append(self._take_pool()))
        if computing:
            _kill(computing[0])
            if self._queue.position(Ticket()) <= 1:  # nothing waits: load the network before the next one
                self.warm_up()

    def progress(self, ticket: Ticket) -> tuple[int, float, str]:
        """Return a ticket's progress.

        Returns:
            How many are ahead of it in the queue; the share of its computation that is done, 0 to 1; and the stage.
        """
        ahead = self._queue.position(ticket)
        if ahead:
            return ahead, 0.0, "waiting"
        with self._lock:
            stage, share = self._progress
        return (0, 1.0, STAGES[-1]) if ticket.finished else (0, round(share, 3), STAGES[int(stage)])

    def close(self) -> None:
        """End the process, even in the middle of a computation."""
        self._queue.close()
        with self._lock:
            self._closed = True
        _kill(self._take_pool())

    def _record_death(self, pool: ProcessPoolExecutor | None) -> None:
        """Record that a pool's process died, and why, unless that was recorded before."""
        with self._recording:
            for process in _processes(pool):
                if process.pid != self._recorded:
                    self._recorded = process.pid
                    self._deaths += 1
                    self._last_death = {"time": now(), "message": _cause(process)}
                    WORKER_DEATHS.inc()
                    logger.warning("%s", self._last_death["message"])

    def _submit(
        self, ticket: Ticket, function: Callable[..., Result], *arguments: Any
    ) -> tuple[ProcessPoolExecutor, Future[Result]]:
        with self._lock:
            if self._closed or ticket.cancelled:  # slot() raises its own error for a cancelled one
                raise refusal(503, "", "The server is shutting down.")
            if self._pool is not None:
                self._progress[:] = [0.0, 0.0]
                try:
                    return self._pool, self._pool.submit(function, *arguments)
                except BrokenProcessPool:  # died while idle
                    self._record_death(self._pool)
                    self._pool = None
            # Without a lock: a process that is killed while holding one would never release it.
            self._progress = multiprocessing.get_context("spawn").RawArray("d", 2)
            self._pool = ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=worker_child.begin,
                initargs=(self._progress,),
            )
            try:
                with hidden_main():  # the first submission starts the process
                    return self._pool, self._pool.submit(function, *arguments)
            except OSError as error:  # no memory, too many processes
                self._pool = None
                logger.error("The inference process could not be started: %s", error)
                message = "The inference process could not be started. The server's log says why."
                raise refusal(503, "", message) from error

    def _take_pool(self) -> ProcessPoolExecutor | None:
        """Return the pool, to be ended; the next submission makes a new one."""
        with self._lock:
            pool, self._pool = self._pool, None
            return pool

    def _drop(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        _kill(pool)


def _processes(pool: ProcessPoolExecutor | None) -> list[Any]:
    """Return the process objects of a pool; none once it is shut down."""
    return list((getattr(pool, "_processes", None) or {}).values())


def _cause(process: Any) -> str:
    """Return a sentence on why a process died."""
    for _ in range(20):  # the pool's own thread may be the one to collect the exit code
        if process.exitcode is not None:
            break
        time.sleep(0.01)
    code = process.exitcode
    how = "was killed; the machine may be out of memory" if code == -signal.SIGKILL else f"ended with code {code}"
    return f"The inference process {how}. A new one is started for the next inference."


def _kill(pool: ProcessPoolExecutor | None) -> None:
    if pool is None:
        return
    for process in _processes(pool):
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)
