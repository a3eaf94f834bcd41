"""A TumorLoop server on this machine, started and stopped by the panel.

The server is a separate program with its own Python; Slicer only runs its command. It listens on 127.0.0.1 only.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.address import Timeouts
from TumorLoopLib.client.errors import ClientError, ServerFailed
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.jobs import Reporter

#: The command that an installed server adds to the PATH.
COMMAND = "tumorloop-server"
#: Seconds until a server must answer: it compiles its code at the first start.
STARTUP_TIMEOUT = 120.0
#: Lines of the server's log that an error message shows.
LOG_LINES = 4


def find_command(configured: Sequence[str], search_path: str | None = None) -> list[str]:
    """Return the command that starts a server, without its options; empty if there is none.

    Args:
        configured: The user's own command; empty to look for :data:`COMMAND`.
        search_path: Folders to search, as in ``PATH``; this process's own by default.
    """
    if configured:
        program = shutil.which(configured[0], path=search_path)
        return [program, *configured[1:]] if program else []
    program = shutil.which(COMMAND, path=search_path)
    return [program] if program else []


class LocalServer:
    """One server process.

    Args:
        command: From :func:`find_command`.
        studies: The folder of cases it serves.
        environment: The environment variables with which Slicer was started: Slicer's own would make the server's
            Python load Slicer's libraries.
        log: Where its output goes.

    Raises:
        ServerFailed: If the program cannot be run.
    """

    def __init__(self, command: Sequence[str], studies: Path, environment: Mapping[str, str], log: Path) -> None:
        self.port = _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._log = log
        words = [*command, "--studies", str(studies), "--port", str(self.port)]
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0) if sys.platform == "win32" else 0
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with open(log, "wb") as sink:
                self._process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, env=dict(environment),
                    creationflags=hidden,
                )  # fmt: skip
        except OSError as error:
            text = _("{program} cannot be started ({reason}).")
            raise ServerFailed(0, text.format(program=command[0], reason=error.strerror or error)) from error

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def wait_until_ready(self, reporter: Reporter, timeout: float = STARTUP_TIMEOUT) -> None:
        """Wait until the server answers; on a worker thread.

        Raises:
            ServerFailed: If it exits, or does not answer in time; the message has the end of its log.
            Cancelled: If the job was cancelled; the server is left running.
        """
        client = TumorLoopClient(self.address, timeouts=Timeouts(connect=1.0, answer=5.0))
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not self.running:
                raise ServerFailed(0, _("The server exited. Its log ends with: {log}").format(log=self.log_tail()))
            with contextlib.suppress(ClientError):
                client.info()
                return
            reporter.check()
            reporter.cancel.wait(0.3)
        text = _("The server did not answer within {seconds:.0f} seconds. Its log ends with: {log}")
        raise ServerFailed(0, text.format(seconds=timeout, log=self.log_tail()))

    def log_tail(self) -> str:
        """Return the last lines of the server's log, as one line."""
        try:
            text = self._log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return " ".join(lines[-LOG_LINES:])[-400:]

    def stop(self, timeout: float = 5.0) -> None:
        """Terminate the process, and kill it if it does not exit in time; does nothing if it has exited."""
        if not self.running:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
