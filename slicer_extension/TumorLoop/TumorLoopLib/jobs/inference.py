"""Requests that the server computes for a while: their progress, and canceling them; on a worker thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from TumorLoopLib.client import TumorLoopClient, new_job_id
from TumorLoopLib.client.errors import ClientError
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.stages import COMPUTING, WAITING

#: Seconds between two questions about the progress.
_INTERVAL = 0.4


@contextmanager
def computing(client: TumorLoopClient, reporter: Reporter) -> Iterator[tuple[str, threading.Event]]:
    """Report the progress of one request, and cancel it on the server if it fails here.

    Yields:
        The id to send as ``job``; and an event to set when the answer begins to arrive, which ends the reports.
    """
    job, arriving = new_job_id(), threading.Event()
    reporter.stage(WAITING)
    args = (client, reporter, job, arriving)
    threading.Thread(target=_report, args=args, name="TumorLoop progress", daemon=True).start()
    try:
        yield job, arriving
    except ClientError:
        # Closing the connection does not stop the server. Not waited for: Cancel must be quick.
        threading.Thread(target=_cancel_on_server, args=(client, job), daemon=True).start()
        raise
    finally:
        arriving.set()


def _report(client: TumorLoopClient, reporter: Reporter, job: str, arriving: threading.Event) -> None:
    while not arriving.wait(_INTERVAL):
        try:
            state = client.job(job) or {}  # none before the server reads the request
            if arriving.is_set():
                return
            if state.get("state") == "computing":
                share, detail = float(state.get("share") or 0.0), str(state.get("stage") or "")
                reporter.waiting(COMPUTING, share=share, detail=detail)
            elif state.get("state") == "waiting":
                reporter.waiting(WAITING, position=int(state.get("position") or 0))
        except (ClientError, TypeError, ValueError):
            continue  # the request itself reports what is wrong


def _cancel_on_server(client: TumorLoopClient, job: str) -> None:
    try:
        client.cancel_job(job)
    except ClientError:
        return  # it has ended already, or the server is gone
