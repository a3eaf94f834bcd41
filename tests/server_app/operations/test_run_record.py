"""What became of the last run, and that there is one server on a workspace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from server_app.operations.run_record import RunRecord
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
