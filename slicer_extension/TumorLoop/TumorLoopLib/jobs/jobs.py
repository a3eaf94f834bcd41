"""Background jobs: one thread per job, whose results are delivered when the user interface polls.

A job's work runs on its own thread and must not touch MRML, Qt or ``slicer``. It reports through a :class:`Reporter`;
the panel's timer calls :meth:`Jobs.poll`, and only there do handlers run: never on a worker thread, and never after
:meth:`Jobs.abandon`.

Slicer holds Python's global lock while it waits for events, which would stop worker threads between two timer events.
:meth:`Jobs.poll` therefore sleeps for a few milliseconds while a job is running.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Callable

from TumorLoopLib.client.errors import Cancelled

logger = logging.getLogger(__name__)

#: Seconds that every poll gives to worker threads.
YIELD = 0.005
#: Seconds for which polls continue to do so after a job ended or was abandoned: a thread of its own may still be
#: cancelling the work on the server.
LINGER = 3.0


@dataclass(frozen=True)
class Progress:
    """The progress of a job.

    Attributes:
        stage: A constant of the module that defines the work; empty before the first report.
        done: Bytes transferred in this stage, of ``total``; that is 0 if it is not known.
        share: How much of the stage is done, 0 to 1; ``None`` if not known.
        position: In the server's queue.
        detail: What the server is doing in this stage, in its word.
        seconds: Since the stage began.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    share: float | None = None
    position: int = 0
    detail: str = ""
    seconds: float = 0.0

    @property
    def eta(self) -> float | None:
        """Seconds that this stage will still take, if that can be estimated."""
        share = self.share if self.share is not None else (self.done / self.total if self.total else 0.0)
        return self.seconds * (1 - share) / share if share > 0.02 and self.seconds > 0.5 else None


class Reporter:
    """How the work of a job reports its progress; any thread.

    Attributes:
        cancel: Set when the job should end; pass it to the client's methods.
    """

    def __init__(self) -> None:
        self.cancel = threading.Event()
        self._lock = threading.Lock()
        self._progress = Progress()
        self._began = time.monotonic()
        self._partial: Any = None

    def stage(self, stage: str) -> None:
        """Enter a stage; does nothing if it is the present one.

        Raises:
            Cancelled: If the job should end.
        """
        self.check()
        with self._lock:
            if stage != self._progress.stage:
                self._progress = Progress(stage)
                self._began = time.monotonic()

    def progress(self, done: int, total: int) -> None:
        """Report bytes; fits the client's ``progress`` arguments."""
        with self._lock:
            self._progress = Progress(self._progress.stage, done, total)

    def waiting(self, stage: str, position: int = 0, share: float | None = None, detail: str = "") -> None:
        """Report the progress of a computation; see :class:`Progress`."""
        self.stage(stage)
        with self._lock:
            self._progress = Progress(stage, share=share, position=position, detail=detail)

    def publish(self, partial: Any) -> None:
        """Publish a partial result; it replaces the last one."""
        with self._lock:
            self._partial = partial

    def check(self) -> None:
        """Raise :class:`Cancelled` if the job should end."""
        if self.cancel.is_set():
            raise Cancelled()

    def snapshot(self) -> Progress:
        """Return the progress now."""
        with self._lock:
            return replace(self._progress, seconds=time.monotonic() - self._began)

    def partial(self) -> Any:
        """Return the last partial result."""
        with self._lock:
            return self._partial


Work = Callable[[Reporter], Any]


@dataclass(frozen=True)
class Handlers:
    """What is called on the user interface's thread: ``progress`` at every poll, and one of the others at the end."""

    done: Callable[[Any], None]
    failed: Callable[[Exception], None]
    cancelled: Callable[[], None] = lambda: None
    progress: Callable[[Progress, Any], None] = lambda progress, partial: None


class Job:
    """Work on a thread of its own."""

    def __init__(self, work: Work, handlers: Handlers) -> None:
        self.reporter = Reporter()
        self._work = work
        self._handlers: Handlers | None = handlers
        self._result: Any = None
        self._error: Exception | None = None
        #: Set when the thread has finished its work.
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="TumorLoop job", daemon=True)
        self._thread.start()

    def abandon(self) -> None:
        """Cancel the work and drop its handlers."""
        self._handlers = None
        self.reporter.cancel.set()

    def report(self) -> None:
        """Call the handler that is due."""
        handlers = self._handlers
        if handlers is None:
            return
        if not self.ended.is_set():
            handlers.progress(self.reporter.snapshot(), self.reporter.partial())
        elif self._error is None:
            handlers.done(self._result)
        elif isinstance(self._error, Cancelled):
            handlers.cancelled()
        else:
            handlers.failed(self._error)

    def _run(self) -> None:
        try:
            self._result = self._work(self.reporter)
        except Exception as error:  # noqa: BLE001 - delivered to the user interface, which shows it
            self._error = error
        finally:
            self.ended.set()


class Jobs:
    """The jobs of one panel, at most one of each kind. User interface thread only.

    Args:
        crashed: Takes an exception raised by a handler, which is an error in the panel.
    """

    def __init__(self, crashed: Callable[[Exception], None]) -> None:
        self._jobs: dict[str, Job] = {}
        self._crashed = crashed
        self._yield_until = 0.0

    def start(self, kind: str, work: Work, handlers: Handlers) -> bool:
        """Start a job unless one of its kind is running; return whether it was started."""
        if kind in self._jobs:
            return False
        self._jobs[kind] = Job(work, handlers)
        return True

    def running(self, *kinds: str) -> bool:
        """Return whether a job of one of these kinds (of any kind, if none is given) is running."""
        return any(kind in self._jobs for kind in kinds) if kinds else bool(self._jobs)

    def kinds(self) -> frozenset[str]:
        """Return the kinds of the jobs that are running."""
        return frozenset(self._jobs)

    def cancelling(self, kind: str) -> bool:
        """Return whether a job was cancelled and has not ended yet."""
        return kind in self._jobs and self._jobs[kind].reporter.cancel.is_set()

    def cancel(self, kind: str) -> None:
        """Cancel a job; its ``cancelled`` handler runs at a later poll."""
        if kind in self._jobs:
            self._jobs[kind].reporter.cancel.set()

    def abandon(self, *kinds: str) -> None:
        """Drop jobs of these kinds (all, if none is given): they are cancelled, and their handlers never run."""
        for kind in kinds or tuple(self._jobs):
            job = self._jobs.pop(kind, None)
            if job is not None:
                job.abandon()
                self._yield_until = time.monotonic() + LINGER

    def poll(self) -> bool:
        """Give worker threads some time, then call the handlers that are due; return whether a job has ended.

        An exception in a handler does not keep the others from running. A handler that runs an event loop may call
        this method again before it returns.
        """
        if not self._jobs and time.monotonic() >= self._yield_until:
            return False
        time.sleep(YIELD)
        some_ended = False
        for kind, job in list(self._jobs.items()):
            if self._jobs.get(kind) is not job:  # an earlier handler dropped it, or polled
                continue
            if job.ended.is_set():
                self._jobs.pop(kind, None)  # before its handler, which may start the next job of this kind
                some_ended = True
                self._yield_until = time.monotonic() + LINGER
            try:
                job.report()
            except Exception as error:
                logger.exception("A handler of the job %r failed", kind)
                self._crashed(error)
        return some_ended
