"""When MONAI Label's own part of a training fails, or cannot be ended: nothing waits for it forever."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psutil
import pytest
from monailabel.utils.async_tasks import utils
from monailabel.utils.async_tasks.task import AsyncTask

from server_app.app import TumorLoopApp
from server_app.retraining.queue import TrainingQueue
from server_app.retraining.task import Retraining
from tests.server_app.conftest import eventually, is_gone


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainingQueue]:
    """The queue in MONAI Label's place, beside no other task."""
    for name in ("background_tasks", "background_processes", "background_executors"):
        monkeypatch.setattr(utils, name, {})
    monkeypatch.setenv("PYTHONPATH", "")
    queue = TrainingQueue()
    queue.install()
    yield queue
    queue.close()


def started(task: Retraining) -> dict[str, Any]:
    submitted = utils.run_background_task({"model": "tumorloop", "run": "a", "max_epochs": 5}, "train")
    task.track(submitted)
    return dict(submitted)


def test_a_training_whose_process_cannot_be_started_has_failed_and_the_next_one_may_begin(
    queue: TrainingQueue, task: Retraining, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subprocess, "Popen", Mock(side_effect=OSError(12, "Cannot allocate memory: /secret/place")))
    with caplog.at_level(logging.ERROR):
        first = started(task)
        eventually(lambda: not task.busy() and queue.find(str(first["id"])) is None)
    assert "Cannot allocate memory" in caplog.text
    state, message = (task.stats()[name] for name in ("state", "message"))
    assert (state, message) == ("failed", "The server could not run the training's process (OSError).")
    (found,) = utils.background_tasks["train"]
    assert (found["status"], bool(found["end_ts"])) == ("ERROR", True)
    assert AsyncTask.status("train", check_if_running=True)[0] is None
    started(task)
    eventually(lambda: len(utils.background_tasks["train"]) == 2 and not task.busy())


def test_a_training_whose_output_cannot_be_read_has_failed_and_its_process_ends(
    queue: TrainingQueue, task: Retraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import sys, time; sys.stdout.buffer.write(b'one\\n\\xff\\xfe\\n'); sys.stdout.flush(); time.sleep(600)"
    real, processes = subprocess.Popen, []

    def start(command: list[str], **more: Any) -> subprocess.Popen[str]:
        processes.append(real([sys.executable, "-c", program], **{**more, "encoding": "utf-8"}))
        return processes[0]

    monkeypatch.setattr(subprocess, "Popen", start)
    started(task)
    eventually(lambda: processes and not task.busy())
    eventually(lambda: utils.background_processes["train"] == {})
    pid = processes[0].pid
    eventually(lambda: not psutil.pid_exists(pid) or is_gone(psutil.Process(pid)))
    (found,) = utils.background_tasks["train"]
    assert found["status"] == "ERROR"
    assert "UnicodeDecodeError" in found["details"][-1]


def test_a_stopped_training_stays_stopped_when_its_output_breaks_off(queue: TrainingQueue) -> None:
    def fail(task: dict[str, Any]) -> None:
        task["status"] = "STOPPED"
        raise ValueError("I/O operation on closed file")

    task: dict[str, Any] = {"id": "a", "status": "SUBMITTED"}
    with pytest.raises(ValueError, match="closed"):
        queue.submit(fail, task).result(20)
    assert task["status"] == "STOPPED"


@pytest.mark.parametrize("error", [psutil.NoSuchProcess(1), RuntimeError("no")])
def test_a_shutdown_does_all_its_steps_even_if_a_process_has_ended_or_cannot_be_ended(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    (tmp_path / "studies").mkdir()
    conf = {"workspace": str(tmp_path / "workspace"), "model": str(tiny_model)}
    app = TumorLoopApp("server_app", str(tmp_path / "studies"), conf)
    stop, close = Mock(side_effect=error), Mock()
    monkeypatch.setattr(AsyncTask, "stop", stop)
    monkeypatch.setattr(app.services.worker, "close", close)
    app.services.record.begin()
    with pytest.raises(RuntimeError, match="no") if isinstance(error, RuntimeError) else nullcontext():
        app.close()
    assert {call.args for call in stop.call_args_list} == {("train",), ("batch_infer",)}
    close.assert_called()
    assert app.services.record._read()["ended"]
    if isinstance(error, psutil.NoSuchProcess):
        assert app.services.trainings.stop() is None
