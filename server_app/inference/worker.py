"""The inference worker: one long-lived process that owns TensorFlow, seen from the web process.

Requests wait in :class:`server_app.inference.queue.Turns` and are computed one after the other. When the process
dies (killed,
out of memory), a new one is started and what was under way is tried once more; when a computation is cancelled, the
process is killed and a new one made ready. One lock guards the pool; nothing is computed or waited for while it is
held. The lock of the turns is taken before it, never after.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from server_app.common.metrics import INFERENCE_SECONDS, INFERENCES, WORKER_DEATHS
from server_app.errors import refusal
from server_app.inference import worker_child
from server_app.inference.queue import Ticket, Turns
from server_app.inference.worker_child import STAGES, SegmentJob
from server_app.spawning import light_main
from training.clock import now
from training.errors import InputError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class InferenceWorker:
    """Runs functions of :mod:`server_app.inference.worker_child` in its process.

    Args:
        models: The model store's folder.
        bundled: Folder of the model to start with.
        timeout: Seconds an inference may take, waiting included.
    """

    def __init__(self, models: Path, bundled: Path, timeout: float = 600.0) -> None:
        self.models = models
        self.bundled = bundled
        self._timeout = timeout
        self._turns = Turns()
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._progress: Any = [0.0, 0.0]
        self._closed = False
        self._died = 0
        self._last_death: dict[str, str] | None = None
        self._noted: int | None = None
        self._noting = threading.Lock()

    def segment(
        self,
        job: SegmentJob,
        ticket: Ticket | None = None,
        instead: Callable[[], dict[str, Any] | None] = lambda: None,
        afterwards: Callable[[dict[str, Any]], None] = lambda facts: None,
    ) -> dict[str, Any]:
        """Compute one inference and wait for it.

        Args:
            job: What to compute.
            ticket: To follow and cancel it by.
            instead: Asked when it is this one's turn: what it returns, if anything, is taken for the result.
            afterwards: Told what was computed, before it is the next one's turn.

        Raises:
            InputError: As :func:`server_app.inference.worker_child.segment`.
            HTTPException: 499 if it was cancelled, 503 if the process died twice or too many wait, 504 if it took too
                long.
        """
        outcome = "failed"
        try:
            facts = self.call(worker_child.segment, job, ticket=ticket, instead=instead, afterwards=afterwards)
            outcome = "reused" if facts.get("reused") else "computed"
            if outcome == "computed":
                INFERENCE_SECONDS.observe(facts["seconds"]["total"])
            return facts
        except InputError:
            outcome = "refused"
            raise
        finally:
            INFERENCES.labels("cancelled" if ticket is not None and ticket.cancelled else outcome).inc()

    def reused(self, ticket: Ticket | None) -> None:
        """Note an inference that needs no computing.

        Raises:
            HTTPException: 499 if it was cancelled before.
        """
        self._turns.skip(ticket or Ticket())
        INFERENCES.labels("reused").inc()

    def condition(self) -> dict[str, Any]:
        """Tell how the process is.

        Returns:
            ``state``: ``ready`` (there is a process), ``idle`` (one is started for the next inference) or ``ended``;
            ``queue``: how many compute or wait; ``deaths``: how often it died since the server was started, and
            ``last_death``: ``time`` and ``message``, or ``None``.
        """
        pool, closed = self._pool, self._closed
        alive = pool is not None and not getattr(pool, "_broken", False)
        if pool is not None and not alive and not closed:
            self._note_death(pool)
        state = "ended" if closed else "ready" if alive else "idle"
        queue = self._turns.length()
        return {"state": state, "queue": queue, "deaths": self._died, "last_death": self._last_death}

    def warm_up(self) -> None:
        """Start the process and load the network, without waiting for it."""

        def load() -> None:
            try:
                self.call(worker_child.warm_up, self.models, self.bundled)
                logger.info("The inference process is ready.")
            except Exception as error:  # noqa: BLE001 - the first inference tells its client what is wrong
                logger.warning("The inference process could not be warmed up: %s", error)

        threading.Thread(target=load, name="tumorloop-warm-up", daemon=True).start()

    def call(
        self,
        function: Callable[..., Result],
        *arguments: Any,
        ticket: Ticket | None = None,
        instead: Callable[[], Result | None] = lambda: None,
        afterwards: Callable[[Result], None] = lambda result: None,
    ) -> Result:
        """Run an importable function in the process, when its turn has come, and return what it returns."""
        ticket = ticket or Ticket()
        give_up = time.monotonic() + self._timeout
        with self._turns.turn(ticket, give_up):
            known = instead()
            if known is not None:
                return known
            for _ in (1, 2):
                pool, future = self._submit(ticket, function, *arguments)
                try:
                    result = future.result(max(0.0, give_up - time.monotonic()))
                    afterwards(result)
                    return result
                except (BrokenProcessPool, CancelledError):
                    if not ticket.cancelled and not self._closed:
                        self._note_death(pool)
                    self._drop(pool)
                except TooLate:
                    self._drop(pool)
                    message = f"The inference took longer than {self._timeout:.0f} s and was ended."
                    raise refusal(504, "", message) from None
            raise refusal(503, "", "The inference process died twice; perhaps the machine is out of memory.")

    def cancel(self, ticket: Ticket) -> None:
        """Cancel what a ticket stands for, also in the middle of its computation; too late does nothing."""
        computing: list[ProcessPoolExecutor | None] = []
        self._turns.cancel(ticket, lambda: computing.append(self._take_pool()))
        if computing:
            _kill(computing[0])
            if self._turns.before(Ticket()) <= 1:  # nobody but the cancelled one: spare the next one the loading
                self.warm_up()

    def progress(self, ticket: Ticket) -> tuple[int, float, str]:
        """Tell how far a ticket is.

        Returns:
            How many are before it in the queue; the share of its computing that is done, 0 to 1; and the stage.
        """
        before = self._turns.before(ticket)
        if before:
            return before, 0.0, "waiting"
        with self._lock:
            stage, share = self._progress
        return (0, 1.0, STAGES[-1]) if ticket.over else (0, round(share, 3), STAGES[int(stage)])

    def close(self) -> None:
        """End the process, also in the middle of a computation."""
        self._turns.close()
        with self._lock:
            self._closed = True
        _kill(self._take_pool())

    def _note_death(self, pool: ProcessPoolExecutor | None) -> None:
        """Write down that a pool's process died, and of what, unless that is known already."""
        with self._noting:
            for process in _processes(pool):
                if process.pid != self._noted:
                    self._noted = process.pid
                    self._died += 1
                    self._last_death = {"time": now(), "message": _cause(process)}
                    WORKER_DEATHS.inc()
                    logger.warning("%s", self._last_death["message"])

    def _submit(
        self, ticket: Ticket, function: Callable[..., Result], *arguments: Any
    ) -> tuple[ProcessPoolExecutor, Future[Result]]:
        with self._lock:
            if self._closed or ticket.cancelled:  # of a cancelled one, turn() makes its own error
                raise refusal(503, "", "The server is shutting down.")
            if self._pool is not None:
                self._progress[:] = [0.0, 0.0]
                try:
                    return self._pool, self._pool.submit(function, *arguments)
                except BrokenProcessPool:  # died while idle
                    self._note_death(self._pool)
                    self._pool = None
            # Without a lock: a process that is killed while it holds one would keep it for ever.
            self._progress = multiprocessing.get_context("spawn").RawArray("d", 2)
            self._pool = ProcessPoolExecutor(
                1,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=worker_child.begin,
                initargs=(self._progress,),
            )
            try:
                with light_main():  # the first submission starts the process
                    return self._pool, self._pool.submit(function, *arguments)
            except OSError as error:  # no memory, too many processes
                self._pool = None
                logger.error("The inference process could not be started: %s", error)
                message = "The inference process could not be started. Tell whoever runs the server; its log says why."
                raise refusal(503, "", message) from error

    def _take_pool(self) -> ProcessPoolExecutor | None:
        """Return the pool, so that it can be ended, and have the next submission make a new one."""
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
    """Say what a process died of."""
    for _ in range(20):  # the pool's own thread may be the one that learns the exit code
        if process.exitcode is not None:
            break
        time.sleep(0.01)
    code = process.exitcode
    how = "was killed; perhaps the machine is out of memory" if code == -signal.SIGKILL else f"ended with code {code}"
    return f"The inference process {how}. It is started again for the next inference."


def _kill(pool: ProcessPoolExecutor | None) -> None:
    if pool is None:
        return
    for process in _processes(pool):
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)
