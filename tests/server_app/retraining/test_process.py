"""When a training's process is started again, and with what; what is recorded of it; and the queue of trainings."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server_app.retraining import process
from server_app.retraining.process import DISK_FULL, DISK_FULL_MESSAGE, RetrainJob, run_until_done
from server_app.retraining.progress import ProgressWriter, read_progress
from server_app.retraining.queue import TrainingQueue
from server_app.retraining.task import Retraining
from server_app.retraining.unfinished import Unfinished, UnfinishedFile
from server_app.workspace import Workspace
from tests import synthetic
from tests.server_app.conftest import eventually
from training.cases.find import case_from_folder
from training.errors import InputError
from training.fitting.config import FitProgress
from training.fitting.memory import MemoryNeed
from training.retraining.config import RetrainConfig
from training.retraining.corrections import Correction
from training.retraining.retrain import RetrainProgress

KILLED, TERMINATED = -signal.SIGKILL, -signal.SIGTERM
Simulate = Callable[..., tuple[int, list[RetrainJob]]]


def at_epoch(epoch: int, **more: Any) -> RetrainProgress:
    return RetrainProgress("training", "", FitProgress(epoch, 9, 0, 1, 1.0, {}, 0.5, 1.0, 1.0, [{"epoch": 1}]), **more)


@pytest.fixture
def simulate(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Simulate:
    """Run a training whose processes reach an epoch and end with a code; returns the last code and all jobs."""

    def run(*processes: tuple[int, int]) -> tuple[int, list[RetrainJob]]:
        jobs: list[RetrainJob] = []
        left = iter(processes)
        workspace.progress_file.unlink(missing_ok=True)

        def one(job: RetrainJob) -> int:
            jobs.append(job)
            epoch, code = next(left)
            ProgressWriter(job.progress, job.run, 9, job.notes).update(at_epoch(epoch))
            return code

        monkeypatch.setattr(process, "run_in_own_process", one)
        models, config = workspace.models, RetrainConfig(batch_size=4)
        job = RetrainJob("a run", models, models, workspace.training, workspace.progress_file, (), config)
        return run_until_done(job), jobs

    return run


def test_only_a_killed_process_is_started_again_with_smaller_batches_unless_it_reached_an_epoch_until_it_is_given_up(
    simulate: Simulate,
) -> None:
    for ended in (0, 1, DISK_FULL, TERMINATED):
        last, jobs = simulate((3, ended))
        assert (last, len(jobs)) == (ended, 1)
    code, jobs = simulate((2, KILLED), (5, KILLED), (9, 0))
    assert (code, [job.batch_size for job in jobs]) == (0, [None, 4, 4])
    assert len(jobs[2].notes) == 2
    assert "continued after epoch 5" in jobs[2].notes[1]
    code, jobs = simulate((0, KILLED), (0, KILLED), (0, KILLED))
    assert (code, [job.batch_size for job in jobs]) == (KILLED, [None, 2, 1])
    assert "with 1 patches per batch" in jobs[2].notes[1]
    code, jobs = simulate((3, KILLED), (0, KILLED), (3, KILLED), (2, KILLED))
    assert (code, len(jobs)) == (KILLED, 4)
    assert "continued after epoch 3" in jobs[3].notes[-1]


def test_the_progress_file_keeps_epoch_and_notes_of_a_training_that_goes_on(workspace: Workspace) -> None:
    first = ProgressWriter(workspace.progress_file, "a run", 9)
    first.update(at_epoch(4, note="Memory ran out."))
    first.update(at_epoch(4))
    assert read_progress(workspace.progress_file)["notes"] == ["Memory ran out."]
    ProgressWriter(workspace.progress_file, "a run", 9, ("It was killed.",))
    found = read_progress(workspace.progress_file)
    assert (found["epoch"], found["best_metric"], found["notes"]) == (4, 0.5, ["It was killed."])
    ProgressWriter(workspace.progress_file, "another", 9)
    assert read_progress(workspace.progress_file)["epoch"] == 0
    workspace.progress_file.unlink()
    workspace.training.rmdir()
    workspace.training.write_text("in the way")
    first.update(at_epoch(1))  # what cannot be written ends no training


@pytest.fixture
def training(tmp_path: Path) -> Unfinished:
    case = case_from_folder(synthetic.write_case(tmp_path / "studies", grids=synthetic.brats_grid((24, 26, 22))))
    assert case.label is not None
    return Unfinished("a run", "v0001", RetrainConfig(max_epochs=7), (Correction(case, case.label, "validation"),))


def test_an_unfinished_training_is_recalled_exactly_until_it_is_over(
    workspace: Workspace, training: Unfinished
) -> None:
    file = UnfinishedFile(workspace.unfinished_file)
    file.save(training)
    found = file.load()
    assert found is not None
    assert (found.run, found.parent, found.config, found.stopped) == ("a run", "v0001", training.config, False)
    (before,), (after,) = training.corrections, found.corrections
    assert after.digest() == before.digest()
    assert (after.split, after.label, after.case.patient) == (before.split, before.label, before.case.patient)
    assert after.case.sources == before.case.sources
    file.mark_stopped()
    file.delete("another run")
    assert file.load() == replace(found, stopped=True)
    file.delete("a run")
    file.delete("a run")
    assert file.load() is None
    for damaged in ("", "{half", "[]", '{"run": "x"}', '{"run": 1, "parent": 2, "config": 3}'):
        workspace.unfinished_file.write_text(damaged)
        assert file.load() is None


def test_a_training_goes_on_only_from_the_version_that_is_served_and_starts_only_with_enough_memory(
    task: Retraining, workspace: Workspace, training: Unfinished, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="no training run to continue"):
        task.training_to_resume()
    UnfinishedFile(workspace.unfinished_file).save(training)
    with pytest.raises(InputError, match="started from v0001, but v0000 is served"):
        task.training_to_resume()
    monkeypatch.setattr("server_app.retraining.task.need_of", lambda *_: MemoryNeed(5_000_000_000, 1_000_000_000, 0))
    assert task.memory_need(RetrainConfig()).batch_size == 0
    with pytest.raises(InputError, match=r"5\.0 GB.*1\.0 GB are free.*smaller patch") as caught:
        task.memory_need(RetrainConfig(), must_fit=True)
    assert caught.value.field == "patch"


def test_a_training_whose_process_is_gone_is_described_by_its_task(task: Retraining, workspace: Workspace) -> None:
    ProgressWriter(workspace.progress_file, "a", 5)
    content = workspace.progress_file.read_text()
    workspace.progress_file.write_text(content.replace('"process_started": ', '"process_started": 1'))
    details = ["Traceback", f"training.errors.InputError: {DISK_FULL_MESSAGE}", "More"]
    for status, state, message in (("ERROR", "failed", DISK_FULL_MESSAGE), ("RUNNING", "preparing", "started again")):
        task.track({"status": status, "details": details if status == "ERROR" else [], "request": {"run": "a"}})
        assert task.stats()["state"] == state
        assert message in task.stats()["message"]


def test_trainings_run_one_after_the_other_and_waiting_ones_can_be_withdrawn_and_end_with_the_server() -> None:
    queue, ran = TrainingQueue(), list[str]()
    tasks: list[dict[str, Any]] = [{"id": name, "status": "SUBMITTED"} for name in "abcd"]
    go_on = {name: threading.Event() for name in "abcd"}

    def run(task: dict[str, Any]) -> None:
        ran.append(task["id"])
        assert go_on[task["id"]].wait(20)

    futures = [queue.submit(run, task) for task in tasks]
    eventually(lambda: ran)
    assert [task["id"] for task in queue.waiting()] == ["b", "c", "d"]
    assert queue.withdraw("a") is queue.withdraw("nobody") is None
    assert queue.find("a") is tasks[0]
    assert queue.withdraw("c") is tasks[2]
    assert tasks[2]["status"] == "STOPPED"
    assert queue.find("c") is None
    go_on["a"].set()
    eventually(lambda: ran == ["a", "b"])
    queue.close()
    go_on["b"].set()
    futures[1].result(20)
    assert (ran, tasks[3]["status"]) == (["a", "b"], "STOPPED")
