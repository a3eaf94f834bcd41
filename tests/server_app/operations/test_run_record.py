"""How the last run ended, and that only one server runs on a workspace."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import psutil
import pytest

from server_app.operations import workspace_lock
from server_app.operations.run_record import RunRecord
from tests.server_app.conftest import REPOSITORY
from training.errors import InputError

Running = tuple[subprocess.Popen[str], list[psutil.Process]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "running.json"


def write_record(path: Path, pid: int, started: float) -> None:
    content = {"pid": pid, "process_started": started, "started": "2026-01-01T00:00:00", "ended": None}
    path.write_text(json.dumps(content))


def test_only_a_run_after_one_that_was_killed_reports_an_accident_and_a_damaged_record_keeps_none_from_starting(
    path: Path,
) -> None:
    first, second = RunRecord(path), RunRecord(path)
    first.end()  # it has not begun
    assert not path.exists()
    first.check()  # what has the workspace may ask again
    first.begin()
    assert first.started
    first.end()
    second.begin()
    assert first.accident is second.accident is None
    second.end()
    write_record(path, 1, started=1.0)  # the number belongs to another process by now
    found = RunRecord(path)
    found.begin()
    assert all(words in str(found.accident) for words in ("2026-01-01", "not shut down properly"))
    for damaged in ("", "{half", "[]", '{"pid": "x"}'):
        path.write_text(damaged)
        RunRecord(path).begin()


@pytest.mark.parametrize("locks", ["work", "lack the module", "are not supported by the file system"])
def test_the_record_of_a_living_process_keeps_a_second_server_away(
    path: Path, monkeypatch: pytest.MonkeyPatch, locks: str
) -> None:
    if locks == "lack the module":
        monkeypatch.setattr(workspace_lock, "fcntl", None)
    elif locks != "work":
        monkeypatch.setattr("fcntl.flock", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))
    other = psutil.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        write_record(path, other.pid, other.create_time())
        with pytest.raises(InputError, match="Another TumorLoop server"):
            RunRecord(path).begin()
    finally:
        other.kill()
        other.wait()
    RunRecord(path).begin()


#: A web process: it begins, starts children as the server starts its own, and prints their ids.
SERVER = """
import multiprocessing, subprocess, sys, time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from server_app.operations.run_record import RunRecord

if __name__ == "__main__":
    RunRecord(Path(sys.argv[1])).begin()
    training = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"], close_fds=False)
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    pool.submit(time.sleep, 120)
    while not pool._processes:
        time.sleep(0.01)
    print(training.pid, *pool._processes, flush=True)
    time.sleep(120)
"""


@pytest.fixture
def running(tmp_path: Path, path: Path) -> Iterator[Running]:
    """A process that has begun on the workspace, and its children."""
    (tmp_path / "a_server.py").write_text(SERVER)
    command = [sys.executable, str(tmp_path / "a_server.py"), str(path)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    children = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    try:
        yield process, children
    finally:
        process.stdout.close()
        for one in (process, *children):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


@pytest.mark.skipif(os.name != "posix", reason="there are no such locks on Windows")
def test_a_second_server_is_refused_whatever_the_record_says_until_the_first_was_killed_even_if_its_children_live(
    path: Path, running: Running
) -> None:
    own = path.read_text()
    for record in ("{half", '{"pid": 1, "process_started": 1, "ended": "2026"}', None):
        path.unlink() if record is None else path.write_text(record)
        with pytest.raises(InputError, match=rf"Another TumorLoop server \(process {running[0].pid}\)"):
            RunRecord(path).begin()
        assert (path.read_text() if path.exists() else None) == record
    path.write_text(own)
    process, children = running
    for child in children:
        child.suspend()  # so that none ends with its parent
    process.kill()
    process.wait()
    next_one = RunRecord(path)
    next_one.begin()
    assert next_one.accident is not None
    assert [child.is_running() for child in children] == [True, True]
