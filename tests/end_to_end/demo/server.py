"""The server as its own process, from start to stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import ClientError

from tests.end_to_end.demo.errors import DemoFailed

REPOSITORY = Path(__file__).resolve().parents[3]


class ServerProcess:
    """``python -m server_app`` on a free loopback port; a context manager that stops it by its process id.

    The server runs in a session of its own, so that Ctrl-C in the terminal reaches the demo alone, which then stops
    the server in good order.

    Args:
        studies: The folder of cases to serve; only read.
        workspace: Where the server keeps labels and models.
        log: File for everything the server prints.
        keep_running: Leave the server up at the end.
        arguments: More command line arguments for the server.
    """

    def __init__(
        self,
        studies: Path,
        workspace: Path,
        log: Path,
        *,
        keep_running: bool = False,
        arguments: Sequence[str] = (),
    ) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.keep_running = keep_running
        self._log = log
        self._command = [sys.executable, "-m", "server_app", "--studies", str(studies), "--host", "127.0.0.1"]
        self._command += ["--port", str(self.port), "--workspace", str(workspace), *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ServerProcess:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with open(self._log, "wb") as sink:
            self._process = subprocess.Popen(
                self._command,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        return self

    def __exit__(self, *_: object) -> None:
        if not self.keep_running:
            self.stop()

    @property
    def pid(self) -> int:
        """Process id of the server."""
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process.pid

    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def wait_until_ready(self, client: TumorLoopClient, timeout: float = 180.0) -> dict[str, object]:
        """Wait for the server's first answer and return it.

        Raises:
            DemoFailed: If the process ends, or does not answer in time.
        """
        give_up = time.monotonic() + timeout
        while time.monotonic() < give_up:
            if not self.running():
                code = self._process.returncode if self._process else None
                raise DemoFailed(f"The server ended with exit code {code} before it answered.")
            try:
                return client.info()
            except ClientError as error:
                last = error
                time.sleep(0.3)
        raise DemoFailed(f"The server did not answer within {timeout:.0f} seconds: {last}")

    def stop(self) -> None:
        """Ask the server to end, and its children; insist where asking is not enough."""
        if self._process is None or self._process.poll() is not None:
            return
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _, alive = psutil.wait_procs(children, timeout=3)
        for child in alive:
            child.kill()

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines the server printed."""
        try:
            text = self._log.read_text("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
