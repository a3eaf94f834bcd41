"""Inferences with an id, by which their client can follow and cancel them.

The client chooses the id and sends it as the parameter ``job``; the record is kept for some minutes after the end. A
cancellation may arrive before the request it is for: it is remembered, and the request is refused when it arrives.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from server_app.errors import refusal, unknown
from server_app.inference.queue import Ticket
from server_app.inference.worker import InferenceWorker

#: Seconds for which a finished job is remembered, and the maximum number of such jobs.
KEEP_SECONDS, KEEP = 600.0, 256
#: Seconds for which a cancellation waits for its job, and the maximum number of such cancellations.
EARLY_SECONDS, EARLY = 60.0, 256
_ID = re.compile(r"[a-z0-9]{8,64}")


@dataclass(eq=False)
class _Record:
    """A job: its ticket, and once it has ended, how and when (on the monotonic clock)."""

    ticket: Ticket
    state: str = ""
    ended: float = 0.0


class Jobs:
    """The jobs of one server. Thread-safe.

    Args:
        worker: Computes them.
    """

    def __init__(self, worker: InferenceWorker) -> None:
        self._worker = worker
        self._lock = threading.Lock()
        self._records: dict[str, _Record] = {}
        self._early: dict[str, float] = {}

    @contextmanager
    def tracked(self, job_id: Any, client: str = "") -> Iterator[Ticket]:
        """Keep a record of the inference that the block computes with the ticket.

        Args:
            job_id: The client's id; ``None`` for an inference that need not be followed.
            client: Who sent it; see :class:`server_app.inference.queue.Ticket`.

        Raises:
            HTTPException: 422 if the id is not valid, 409 if it is another job's.
        """
        ticket = Ticket(client)
        if job_id is None:
            yield ticket
            return
        record = self._begin(_checked(job_id), ticket)
        state = "failed"
        try:
            yield ticket
            state = "done"
        finally:
            record.ended = time.monotonic()
            record.state = "cancelled" if ticket.cancelled else state

    def describe(self, job_id: str) -> dict[str, Any]:
        """Return the progress of a job.

        Returns:
            ``id``, ``state`` (waiting, computing, done, failed, cancelled), ``position`` (how many are ahead of it),
            ``share`` of the computation (0 to 1) and ``stage``.

        Raises:
            HTTPException: 422 if the id is not valid, 404 if it is unknown.
        """
        with self._lock:
            record = self._records.get(_checked(job_id))
        if record is None:
            raise _unknown(job_id)
        return {"id": job_id, **self._state(record)}

    def cancel(self, job_id: str) -> dict[str, Any]:
        """Cancel a job, waiting or computing; does nothing for a finished one. Returns the same as :meth:`describe`."""
        now = time.monotonic()
        with self._lock:
            record = self._records.get(_checked(job_id))
            if record is None:
                self._early = {name: at for name, at in self._early.items() if now - at < EARLY_SECONDS}
                if len(self._early) < EARLY:
                    self._early[job_id] = now
                raise _unknown(job_id)
        self._worker.cancel(record.ticket)
        return {"id": job_id, **self._state(record)}

    def _begin(self, job_id: str, ticket: Ticket) -> _Record:
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            if job_id in self._records:
                raise refusal(409, "job", f"There is already a job {job_id}. Choose another id.")
            ticket.cancelled = now - self._early.pop(job_id, -EARLY_SECONDS) < EARLY_SECONDS
            self._records[job_id] = _Record(ticket)
            return self._records[job_id]

    def _forget(self, now: float) -> None:
        ended = sorted((record.ended, job_id) for job_id, record in self._records.items() if record.state)
        surplus = len(ended) - KEEP + 1
        for number, (at, job_id) in enumerate(ended):
            if number < surplus or now - at > KEEP_SECONDS:
                del self._records[job_id]

    def _state(self, record: _Record) -> dict[str, Any]:
        if record.state or record.ticket.cancelled:
            state = record.state or "cancelled"
            return {"state": state, "position": 0, "share": float(state == "done"), "stage": state}
        position, share, stage = self._worker.progress(record.ticket)
        return {"state": "waiting" if position else "computing", "position": position, "share": share, "stage": stage}


def _checked(job_id: Any) -> str:
    if not isinstance(job_id, str) or not _ID.fullmatch(job_id):
        message = f"{str(job_id)[:80]!r} cannot be the id of a job: it must be 8 to 64 lower-case letters and digits."
        raise refusal(422, "job", message)
    return job_id


def _unknown(job_id: str) -> Exception:
    return unknown("job", f"There is no job {job_id[:64]}; it has not arrived yet, or ended some minutes ago.")
