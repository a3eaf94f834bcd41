"""The server as a process of its own, started the way the panel starts one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from TumorLoopLib.jobs.local_server import LocalServer


@contextmanager
def running_server(
    studies: Path, workspace: Path, log: Path, *, keep_running: bool = False, arguments: Sequence[str] = ()
) -> Iterator[LocalServer]:
    """Run ``python -m server_app`` on a free loopback port until the block ends.

    Args:
        studies: The folder of cases to serve; only read.
        workspace: Where the server keeps labels and models.
        log: File for everything the server prints.
        keep_running: Leave the server running at the end.
        arguments: More command line arguments for the server.
    """
    command = [sys.executable, "-m", "server_app", "--workspace", str(workspace), *arguments]
    server = LocalServer(command, studies, {**os.environ, "PYTHONUNBUFFERED": "1"}, log)
    try:
        yield server
    finally:
        if not keep_running:
            stop_with_children(server)


def stop_with_children(server: LocalServer) -> None:
    """Stop a server, and kill those of its processes that do not end with it; does nothing if it has exited."""
    if server.running:
        children = psutil.Process(server.pid).children(recursive=True)
        server.stop(10)
        for child in psutil.wait_procs(children, timeout=3)[1]:
            child.kill()
