"""What became of the last run, and that there is one server on a workspace."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from server_app.operations import workspace_lock
from server_app.operations.run_record import RunRecord
from tests.server_app.conftest import REPOSITORY
from training.errors import InputError


def record_of(path: Path, pid: int, started: float | None = None) -> None:
    """Write what a server with this process would have written."""
    at = psutil.Process(pid).create_time() if started is None else started
    path.write_text(json.dumps({"pid": pid, "process_started": at, "started": "2026-01-01T00:00:00", "ended": None}))


def test_the_first_run_and_one_after_an_orderly_end_tell_of_no_accident(tmp_path: Path) -> None:
    first = RunRecord(tmp_path / "running.json")
    first.begin()
    assert first.started
    first.end()
    second = RunRecord(tmp_path / "running.json")
    second.begin()
    assert first.accident is second.accident is None


def test_a_run_that_was_killed_is_told_by_the_next(tmp_path: Path) -> None:
    record_of(tmp_path / "running.json", 1, started=1.0)  # the number belongs to another process by now
    found = RunRecord(tmp_path / "running.json")
    found.begin()
    assert found.accident is not None
    assert "2026-01-01" in found.accident
    assert "not shut down in order" in found.accident


def test_a_second_server_on_the_same_workspace_is_refused(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        record_of(tmp_path / "running.json", other.pid)
        with pytest.raises(InputError, match="Another TumorLoop server"):
            RunRecord(tmp_path / "running.json").begin()
    finally:
        other.kill()
        other.wait()
    RunRecord(tmp_path / "running.json").begin()


@pytest.mark.parametrize("content", ["", "{half", "[]", '{"pid": "x"}'])
def test_a_damaged_record_keeps_no_server_from_starting(tmp_path: Path, content: str) -> None:
    (tmp_path / "running.json").write_text(content)
    RunRecord(tmp_path / "running.json").begin()


def test_the_end_of_a_run_that_never_began_writes_nothing(tmp_path: Path) -> None:
    RunRecord(tmp_path / "running.json").end()
    assert not (tmp_path / "running.json").exists()


#: A web process: it begins, starts children as the server starts its own, and tells their ids.
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
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A process that has begun on the workspace, and its children."""
    script = tmp_path / "a_server.py"
    script.write_text(SERVER)
    command = [sys.executable, str(script), str(tmp_path / "running.json")]
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
@pytest.mark.parametrize("record", [None, "{half", '{"pid": 1, "process_started": 1, "ended": "2026"}'])
def test_a_second_server_is_refused_whatever_the_record_says(
    tmp_path: Path, running: tuple[subprocess.Popen[str], list[psutil.Process]], record: str | None
) -> None:
    path = tmp_path / "running.json"
    path.unlink() if record is None else path.write_text(record)
    with pytest.raises(InputError, match=rf"Another TumorLoop server \(process {running[0].pid}\)"):
        RunRecord(path).begin()
    assert record is None or path.read_text() == record


@pytest.mark.skipif(os.name != "posix", reason="there are no such locks on Windows")
def test_the_workspace_is_free_as_soon_as_the_server_was_killed_though_its_children_live(
    tmp_path: Path, running: tuple[subprocess.Popen[str], list[psutil.Process]]
) -> None:
    process, children = running
    for child in children:
        child.suspend()  # so that none ends with its parent
    process.kill()
    process.wait()
    next_one = RunRecord(tmp_path / "running.json")
    next_one.begin()
    assert next_one.accident is not None
    assert len(children) == 2
    assert all(child.is_running() for child in children)


def test_a_process_that_has_the_workspace_may_ask_again(tmp_path: Path) -> None:
    RunRecord(tmp_path / "running.json").check()
    RunRecord(tmp_path / "running.json").begin()


@pytest.mark.parametrize("missing", ["the module", "the file system"])
def test_where_there_are_no_locks_the_record_alone_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "the module":
        monkeypatch.setattr(workspace_lock, "fcntl", None)
    else:
        monkeypatch.setattr("fcntl.flock", unsupported)
    test_a_second_server_on_the_same_workspace_is_refused(tmp_path)


def unsupported(descriptor: int, operation: int) -> None:
    raise OSError(errno.ENOLCK, "No locks available")
