"""The server as a user starts it, with the bundled model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import ClientError
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.local_server import LocalServer

from benchmarks.heads import write_head
from docs.demo.server import running_server


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        server: Its process.
        client: Talks to it.
        studies: Its folder of cases.
        started: Seconds until it answered.
    """

    server: LocalServer
    client: TumorLoopClient
    studies: Path
    started: float


@contextmanager
def serving(work: Path, arguments: Sequence[str] = ()) -> Iterator[Running]:
    """Run ``python -m server_app`` over an empty workspace until the block ends.

    Args:
        work: Folder for its files.
        arguments: More command line arguments.
    """
    studies = work / "studies"
    studies.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with running_server(studies, work / "workspace", work / "server.log", arguments=arguments) as server:
        server.wait_until_ready(Reporter(), timeout=300.0)
        yield Running(server, TumorLoopClient(server.address), studies, time.perf_counter() - began)


def warm_up(running: Running, work: Path, requests: int = 2) -> None:
    """Segment uploaded cases until the server has loaded what it needs."""
    for number in range(requests):
        session = running.client.create_session(write_head(work / f"warm-{number}", shift=-1 - number))
        try:
            running.client.infer(session_id=session, folder=work / "answers")
        except ClientError as error:
            raise RuntimeError(f"The server does not segment: {error}. {running.server.log_tail()}") from error
