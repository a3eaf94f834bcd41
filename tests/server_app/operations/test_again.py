"""When a training's process is started again, and with what; what is written down of it; and its queue."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server_app.retraining import process as retrain
from server_app.retraining.process import DISK_FULL, DISK_FULL_MESSAGE, RetrainJob, run_until_done
from server_app.retraining.progress import ProgressWriter, read_progress
from server_app.retraining.queue import TrainingQueue
from server_app.retraining.task import Retraining
from server_app.retraining.unfinished import Unfinished, UnfinishedFile
from server_app.settings import ServerSettings
from server_app.workspace import Workspace
from tests import synthetic
from tests.server_app.conftest import eventually
from training.cases.find import case_from_folder
from training.errors import InputError
from training.fitting.config import FitProgress
from training.fitting.memory import MemoryNeed
from training.retraining.corrections import Correction
from training.retraining.retrain import RetrainConfig, RetrainProgress

KILLED, ENDED = -signal.SIGKILL, -signal.SIGTERM


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace").make()


def job_in(workspace: Workspace, **more: Any) -> RetrainJob:
    usual: dict[str, Any] = {"config": RetrainConfig(batch_size=4), "corrections": ()}
    return RetrainJob(
        "a run", workspace.models, workspace.models, workspace.training, workspace.progress_file, **{**usual, **more}
    )


@pytest.fixture
def played(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list[RetrainJob]]]:
    """Play processes that reach an epoch and end with a code; returns the last code and the jobs they were given."""

    def play(*lives: tuple[int, int]) -> tuple[int, list[RetrainJob]]:
        jobs: list[RetrainJob] = []
        left = iter(lives)

        def live(job: RetrainJob) -> int:
            jobs.append(job)
            epoch, code = next(left)
            writer = ProgressWriter(job.progress, job.run, 9, job.notes)
            progress = FitProgress(epoch, 9, 0, 1, 1.0, {}, 0.1, 1.0, 1.0, [])
            writer.update(RetrainProgress("training", "", progress))
            return code

        monkeypatch.setattr(retrain, "run_in_own_process", live)
        return run_until_done(job_in(workspace)), jobs

    return play


def test_one_that_comes_to_its_own_end_is_not_started_again(played: Any) -> None:
    for code in (0, 1, DISK_FULL):
        assert (played((3, code))[0], len(played((3, code))[1])) == (code, 1)


def test_one_that_was_asked_to_end_is_not_started_again(played: Any) -> None:
    assert len(played((3, ENDED))[1]) == 1


def test_one_that_is_killed_after_an_epoch_goes_on_with_the_same_batches(played: Any) -> None:
    code, jobs = played((2, KILLED), (5, KILLED), (9, 0))
    assert code == 0
    assert [job.batch_size for job in jobs] == [None, 4, 4]
    assert len(jobs[2].notes) == 2
    assert "continued after epoch 5" in jobs[2].notes[1]


def test_one_that_is_killed_before_it_gets_anywhere_gets_smaller_batches_and_is_given_up_at_last(played: Any) -> None:
    code, jobs = played((0, KILLED), (0, KILLED), (0, KILLED))
    assert code == KILLED
    assert [job.batch_size for job in jobs] == [None, 2, 1]
    assert "with 1 patches per batch" in jobs[2].notes[1]


def test_only_a_new_epoch_counts_as_getting_somewhere(played: Any) -> None:
    code, jobs = played((3, KILLED), (0, KILLED), (3, KILLED), (2, KILLED))
    assert code == KILLED
    assert len(jobs) == 4
    assert "continued after epoch 3" in jobs[3].notes[-1]


# === The progress file ===


def test_a_process_that_goes_on_does_not_begin_at_zero(workspace: Workspace) -> None:
    first = ProgressWriter(workspace.progress_file, "a run", 9)
    first.update(RetrainProgress("training", "", FitProgress(4, 9, 0, 1, 1.0, {}, 0.5, 1.0, 1.0, [{"epoch": 1}])))
    ProgressWriter(workspace.progress_file, "a run", 9, ("It was killed.",))
    found = read_progress(workspace.progress_file)
    assert (found["epoch"], found["best_metric"], found["notes"]) == (4, 0.5, ["It was killed."])
    ProgressWriter(workspace.progress_file, "another", 9)
    assert read_progress(workspace.progress_file)["epoch"] == 0


def test_what_is_worth_remembering_is_kept_among_the_notes(workspace: Workspace) -> None:
    writer = ProgressWriter(workspace.progress_file, "a run", 9)
    writer.update(RetrainProgress("training", "smaller", note="Memory ran out."))
    writer.update(RetrainProgress("training", "on"))
    assert read_progress(workspace.progress_file)["notes"] == ["Memory ran out."]


def test_progress_that_cannot_be_written_ends_no_training(workspace: Workspace) -> None:
    writer = ProgressWriter(workspace.progress_file, "a run", 9)
    workspace.progress_file.unlink()
    workspace.training.rmdir()
    workspace.training.write_text("in the way")
    writer.update(RetrainProgress("training", "on"))


# === What is written down of an unfinished training ===


@pytest.fixture
def training(tmp_path: Path) -> Unfinished:
    case = case_from_folder(synthetic.write_case(tmp_path / "studies"))
    assert case.label is not None
    return Unfinished("a run", "v0001", RetrainConfig(max_epochs=7), (Correction(case, case.label, "validation"),))


def test_an_unfinished_training_is_recalled_exactly(workspace: Workspace, training: Unfinished) -> None:
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
    assert file.load() == replace(found, stopped=True)


def test_it_is_forgotten_when_it_is_over_not_when_another_one_is(workspace: Workspace, training: Unfinished) -> None:
    file = UnfinishedFile(workspace.unfinished_file)
    file.save(training)
    file.delete("another run")
    assert file.load() is not None
    file.delete("a run")
    file.delete("a run")
    assert file.load() is None


@pytest.mark.parametrize("content", ["", "{half", "[]", '{"run": "x"}', '{"run": 1, "parent": 2, "config": 3}'])
def test_a_damaged_record_is_none(workspace: Workspace, content: str) -> None:
    workspace.unfinished_file.write_text(content)
    assert UnfinishedFile(workspace.unfinished_file).load() is None


# === What the server says ===


@pytest.fixture
def task(workspace: Workspace, tiny_model: Path) -> Retraining:
    return Retraining("tumorloop", workspace, ServerSettings(model=tiny_model))


def test_a_training_that_starts_from_a_version_that_is_not_served_any_more_cannot_go_on(
    task: Retraining, workspace: Workspace, training: Unfinished
) -> None:
    with pytest.raises(InputError, match="no training to continue"):
        task.training_to_resume()
    UnfinishedFile(workspace.unfinished_file).save(training)
    with pytest.raises(InputError, match="started from v0001, but v0000 is served"):
        task.training_to_resume()


def test_too_little_memory_is_told_before_the_start(task: Retraining, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server_app.retraining.task.need_of", lambda *_: MemoryNeed(5_000_000_000, 1_000_000_000, 0))
    assert task.memory_need(RetrainConfig()).batch_size == 0
    with pytest.raises(InputError, match=r"5\.0 GB.*1\.0 GB are free.*smaller patch") as caught:
        task.memory_need(RetrainConfig(), must_fit=True)
    assert caught.value.field == "patch"


def test_the_last_words_of_a_training_are_told_also_when_its_file_could_not_be_written(
    task: Retraining, workspace: Workspace
) -> None:
    ProgressWriter(workspace.progress_file, "a", 5)
    content = workspace.progress_file.read_text()
    workspace.progress_file.write_text(content.replace('"process_started": ', '"process_started": 1'))
    details = ["Traceback", f"training.errors.InputError: {DISK_FULL_MESSAGE}", "More output"]
    task.track({"status": "ERROR", "request": {"run": "a"}, "details": details})
    assert (task.stats()["state"], task.stats()["message"]) == ("failed", DISK_FULL_MESSAGE)


def test_one_whose_process_is_started_again_is_under_way(task: Retraining, workspace: Workspace) -> None:
    ProgressWriter(workspace.progress_file, "a", 5)
    content = workspace.progress_file.read_text()
    workspace.progress_file.write_text(content.replace('"process_started": ', '"process_started": 1'))
    task.track({"status": "RUNNING", "request": {"run": "a"}})
    assert task.stats()["state"] == "preparing"
    assert "started again" in task.stats()["message"]


# === The queue ===


def test_trainings_run_one_after_the_other_and_those_that_wait_can_be_withdrawn() -> None:
    queue, go, ran = TrainingQueue(), threading.Event(), []

    def run(task: dict[str, Any]) -> None:
        ran.append(task["id"])
        assert go.wait(20)

    tasks: list[dict[str, Any]] = [{"id": name, "status": "SUBMITTED"} for name in ("a", "b", "c", "d")]
    futures: list[Future[Any]] = [queue.submit(run, task) for task in tasks]
    eventually(lambda: ran)
    assert [task["id"] for task in queue.waiting()] == ["b", "c", "d"]
    assert queue.withdraw("a") is None
    assert queue.find("a") is tasks[0]
    assert queue.withdraw("c") is tasks[2]
    assert tasks[2]["status"] == "STOPPED"
    assert queue.find("c") is None
    assert queue.withdraw("nobody") is None
    go.set()
    futures[1].result(20)
    queue.close()
    assert ran[:2] == ["a", "b"]
    assert "c" not in ran


def test_what_waits_does_not_begin_when_the_server_ends() -> None:
    queue, go, ran = TrainingQueue(), threading.Event(), []

    def run(task: dict[str, Any]) -> None:
        ran.append(task["id"])
        assert go.wait(20)

    tasks: list[dict[str, Any]] = [{"id": name, "status": "SUBMITTED"} for name in ("a", "b")]
    first = queue.submit(run, tasks[0])
    queue.submit(run, tasks[1])
    eventually(lambda: ran)
    queue.close()
    go.set()
    first.result(20)
    assert ran == ["a"]
    assert tasks[1]["status"] == "STOPPED"
