"""A server on this machine: found or not, stopped, and plain words when it fails."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from TumorLoopLib.client.errors import Cancelled, ServerFailed
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.local_server import LocalServer, find_command


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], LocalServer]]:
    """Starts a program instead of a server."""
    started: list[LocalServer] = []

    def start_program(text: str) -> LocalServer:
        started.append(LocalServer([sys.executable, "-c", text], tmp_path, os.environ, tmp_path / "log"))
        return started[-1]

    yield start_program
    for server in started:
        server.stop()


def test_the_installed_command_is_found_and_a_configured_one_goes_first(tmp_path):
    installed = tmp_path / "tumorloop-server"
    installed.write_text("#!/bin/sh\n")
    installed.chmod(0o755)
    assert find_command([], str(tmp_path)) == [str(installed)]
    assert find_command([], str(tmp_path / "elsewhere")) == find_command(["no-such-program", "-m"]) == []
    assert find_command([sys.executable, "-m", "server_app"]) == [sys.executable, "-m", "server_app"]


def test_a_program_that_exits_or_cannot_be_started_is_reported(start, tmp_path):
    with pytest.raises(ServerFailed, match=r"Port 8000 is taken\."):
        start("print('loading')\nraise SystemExit('Port 8000 is taken.')").wait_until_ready(Reporter())
    with pytest.raises(ServerFailed, match="cannot be started"):
        LocalServer([str(tmp_path / "nothing")], tmp_path, os.environ, tmp_path / "log")


def test_waiting_for_a_server_that_does_not_answer_ends_and_can_be_cancelled(start):
    server = start("import time\nprint('warming up', flush=True)\ntime.sleep(60)")
    with pytest.raises(ServerFailed, match="warming up"):
        server.wait_until_ready(Reporter(), timeout=3.0)
    reporter = Reporter()
    reporter.cancel.set()
    with pytest.raises(Cancelled):
        server.wait_until_ready(reporter, timeout=30.0)
    assert server.running
    server.stop()
    assert not server.running


def test_a_server_that_ignores_the_request_to_terminate_is_killed(start):
    ignore = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    server = start(ignore + "print('up', flush=True)\ntime.sleep(60)")
    deadline = time.monotonic() + 20
    while server.log_tail() != "up":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.stop(timeout=0.5)
    assert not psutil.pid_exists(server.pid)
