"""Work beside the user interface: one thread per job, results handed over when the interface asks.

A job's work runs on its own thread and must not touch MRML, Qt or ``slicer``. It reports through a
:class:`Reporter`; whoever owns the interface calls :meth:`Jobs.poll` from a timer, and only there the handlers run.
So no handler ever runs on a worker thread, and none runs after :meth:`Jobs.abandon`.

Slicer holds Python's global lock while it waits for events, so that worker threads would stand still between two
timer events; :meth:`Jobs.poll` therefore sleeps for a few milliseconds while something is running.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable

from TumorLoopLib.client.errors import Cancelled

logger = logging.getLogger(__name__)

#: Seconds in which worker threads may run at every poll.
YIELD = 0.005
#: Seconds for which threads go on getting that time after a job has ended or was dropped: it may have left one behind
#: that tells the server.
LINGER = 3.0


@dataclass(frozen=True)
class Progress:
    """Where a job stands.

    Attributes:
        stage: A constant of whoever wrote the work; empty before the first report.
        done: Bytes so far in this stage.
        total: Bytes in all; 0 when not known.
        share: How much of the stage is done, 0 to 1; ``None`` when not known.
        position: Place in the queue, for a stage that waits.
        seconds: Since the stage began.
    """

    stage: str = ""
    done: int = 0
    total: int = 0
    share: float | None = None
    position: int = 0
    seconds: float = 0.0

    @property
    def eta(self) -> float | None:
        """Seconds that this stage will still take, if that can be said."""
        share = self.share if self.share is not None else (self.done / self.total if self.total else 0.0)
        return self.seconds * (1 - share) / share if share > 0.02 and self.seconds > 0.5 else None


class Reporter:
    """What the work of a job uses to tell where it stands; safe to call from any thread.

    Attributes:
        cancel: Set when the job should end; hand it to the client's methods.
    """

    def __init__(self) -> None:
        self.cancel = threading.Event()
        self._lock = threading.Lock()
        self._progress = Progress()
        self._began = time.monotonic()
        self._partial: Any = None

    def stage(self, stage: str) -> None:
        """Enter a stage; does nothing when it is the present one.

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

    def waiting(self, stage: str, position: int = 0, share: float | None = None) -> None:
        """Report what the server says of a computation; see :class:`Progress`."""
        self.stage(stage)
        with self._lock:
            self._progress = Progress(stage, share=share, position=position)

    def hand_over(self, partial: Any) -> None:
        """Show a result before the end; a later one takes its place."""
        with self._lock:
            self._partial = partial

    def check(self) -> None:
        """Raise :class:`Cancelled` if the job should end."""
        if self.cancel.is_set():
            raise Cancelled()

    def view(self) -> Progress:
        """Return where the job stands."""
        with self._lock:
            now = self._progress
            seconds = time.monotonic() - self._began
        return Progress(now.stage, now.done, now.total, now.share, now.position, seconds)

    def partial(self) -> Any:
        """Return what was handed over last."""
        with self._lock:
            return self._partial


Work = Callable[[Reporter], Any]


@dataclass(frozen=True)
class Handlers:
    """What happens on the user interface's thread.

    Attributes:
        done: Takes the work's result.
        failed: Takes the exception that ended the work.
        cancelled: Called when the job ended because it was cancelled.
        progress: Takes a :class:`Progress` and the partial result, at every poll.
    """

    done: Callable[[Any], None]
    failed: Callable[[Exception], None]
    cancelled: Callable[[], None] = lambda: None
    progress: Callable[[Progress, Any], None] = lambda progress, partial: None


class Job:
    """One piece of work on its own thread."""

    def __init__(self, work: Work, handlers: Handlers) -> None:
        self.reporter = Reporter()
        self._work = work
        self._handlers: Handlers | None = handlers
        self._result: Any = None
        self._error: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="TumorLoop job", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the thread has finished its work."""
        return self._ended.is_set()

    def abandon(self) -> None:
        """Cancel the work and drop its handlers: whatever comes of it interests nobody any more."""
        self._handlers = None
        self.reporter.cancel.set()

    def report(self) -> None:
        """Run the handler that is due."""
        handlers = self._handlers
        if handlers is None:
            return
        if not self.ended:
            handlers.progress(self.reporter.view(), self.reporter.partial())
        elif self._error is None:
            handlers.done(self._result)
        elif isinstance(self._error, Cancelled):
            handlers.cancelled()
        else:
            handlers.failed(self._error)

    def _run(self) -> None:
        try:
            self._result = self._work(self.reporter)
        except Exception as error:  # noqa: BLE001 - handed over to the interface, which shows it
            self._error = error
        finally:
            self._ended.set()


class Jobs:
    """The jobs of one panel, at most one of each kind. All methods belong to the user interface's thread.

    Args:
        crashed: Takes an exception that a handler raised: a mistake in the panel, which the clinician should see.
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
        """Tell whether a job of one of these kinds (of any kind, if none is named) is running."""
        return any(kind in self._jobs for kind in kinds) if kinds else bool(self._jobs)

    def kinds(self) -> frozenset[str]:
        """Return the kinds of the jobs that are running."""
        return frozenset(self._jobs)

    def cancelling(self, kind: str) -> bool:
        """Tell whether a job was asked to end and has not ended yet."""
        return kind in self._jobs and self._jobs[kind].reporter.cancel.is_set()

    def cancel(self, kind: str) -> None:
        """Ask a job to end; its ``cancelled`` handler runs at a later poll."""
        if kind in self._jobs:
            self._jobs[kind].reporter.cancel.set()

    def abandon(self, *kinds: str) -> None:
        """Drop jobs of these kinds (all, if none is named): they are cancelled and no handler of theirs runs."""
        for kind in kinds or tuple(self._jobs):
            job = self._jobs.pop(kind, None)
            if job is not None:
                job.abandon()
                self._yield_until = time.monotonic() + LINGER

    def poll(self) -> bool:
        """Let the threads run for a moment, then run the handlers that are due; return whether one has ended.

        A handler that raises does not keep the others from running. One that asks the clinician something lets the
        timer, and so this method, run again before it returns.
        """
        if not self._jobs and time.monotonic() >= self._yield_until:
            return False
        time.sleep(YIELD)
        some_ended = False
        for kind, job in list(self._jobs.items()):
            if self._jobs.get(kind) is not job:  # a handler before it dropped it, or asked something meanwhile
                continue
            if job.ended:
                self._jobs.pop(kind, None)  # before its handler, which may start the next one of the kind
                some_ended = True
                self._yield_until = time.monotonic() + LINGER
            try:
                job.report()
            except Exception as error:
                logger.exception("What follows a job of the kind %r failed", kind)
                self._crashed(error)
        return some_ended
