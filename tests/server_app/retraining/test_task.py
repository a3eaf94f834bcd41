"""What the server reports of a training, from the submission to the end, whatever happens to its process."""

from __future__ import annotations

import os
from typing import Any

from server_app.retraining.progress import Failure, ProgressWriter, read_progress
from server_app.retraining.task import Retraining
from server_app.workspace import Workspace
from training.atomic import write_json
from training.fitting.config import FitProgress
from training.models.store import ModelCard, ModelVersion
from training.retraining.retrain import RetrainProgress, RetrainResult


def submission(status: str, run: str = "a", **more: Any) -> dict[str, Any]:
    return {"status": status, "request": {"run": run, "max_epochs": 5}, **more}


def fit_progress(epoch: int, loss: float = 1.0) -> FitProgress:
    validation = {"WT": 0.5, "TC": 0.4, "ET": 0.3, "mean": 0.4} if epoch else {}
    return FitProgress(epoch, 5, 2, 10, loss, validation, 0.4 if epoch else -1.0, 12.0, 34.56, [{"epoch": epoch}])


def test_a_training_shows_why_it_could_not_start_and_never_the_numbers_of_the_last_one_or_of_a_damaged_file(
    task: Retraining, workspace: Workspace
) -> None:
    assert task.stats() == {}
    task.track(submission("ERROR", details=["Traceback", "ImportError: no module"]))  # it could not start
    assert (task.stats()["state"], task.stats()["message"]) == ("failed", "ImportError: no module")
    ProgressWriter(workspace.progress_file, "old", 3)
    task.track(submission("RUNNING", "new"))
    stats = task.stats()
    assert (stats["state"], stats["epoch"], stats["total_epochs"]) == ("starting", 0, 5)
    task.track(submission("SUBMITTED", "second"))  # the running one of several is shown
    ProgressWriter(workspace.progress_file, "new", 5)
    assert task.stats()["run"] == "new"
    workspace.progress_file.write_text("{half")
    assert read_progress(workspace.progress_file) == {}


def test_live_numbers_have_the_keys_stock_clients_read(task: Retraining, workspace: Workspace) -> None:
    task.track(submission("RUNNING"))
    writer = ProgressWriter(workspace.progress_file, "a", 5)
    writer.update(RetrainProgress("training", "epoch 1 of 5", fit_progress(0, float("nan"))))
    assert (task.stats()["train"], task.stats()["best_metric"]) == ({"loss": None}, 0.0)
    writer.update(RetrainProgress("training", "epoch 2 of 5", fit_progress(1)))
    stats = task.stats()
    assert (stats["epoch"], stats["total_epochs"], stats["best_metric"]) == (1, 5, 0.4)
    assert (stats["eval"]["mean"], stats["eta"], stats["pid"]) == (0.4, 34.6, os.getpid())
    writer.failed(Failure.ERROR, "no memory")
    assert (task.stats()["state"], task.stats()["message"]) == ("failed", "no memory")


def test_a_training_whose_process_is_gone_was_stopped_or_has_failed(task: Retraining, workspace: Workspace) -> None:
    ProgressWriter(workspace.progress_file, "a", 5).update(RetrainProgress("training", "", fit_progress(1)))
    content = read_progress(workspace.progress_file)
    assert content["state"] == "training"
    write_json(workspace.progress_file, {**content, "process_started": 1.0})  # another process has the number now
    assert read_progress(workspace.progress_file)["state"] == "stopped"
    current = submission("STOPPED")
    task.track(current)
    assert task.stats()["message"] == "Stopped after 1 of 5 epochs."
    current["status"] = "ERROR"
    assert task.stats()["state"] == "failed"
    assert "died" in task.stats()["message"]


def test_unreadable_cases_are_named_without_the_servers_folders(task: Retraining, workspace: Workspace) -> None:
    task.track(submission("RUNNING"))
    writer = ProgressWriter(workspace.progress_file, "a", 5)
    why = "case-2: /home/server/labels/case-2/v0001/label.nii.gz is cut off."
    writer.update(RetrainProgress("preparing", f"skipped {why}"))
    assert task.stats()["message"] == "skipped case-2: label.nii.gz is cut off."
    writer.update(RetrainProgress("judging", "judging", skipped={"case-2": why}))
    assert task.stats()["skipped"] == {"case-2": "case-2: label.nii.gz is cut off."}
    version = ModelVersion("v0002", workspace.models / "v0002", ModelCard())
    writer.done(RetrainResult(version, True, "Promoted: better.", {"case-2": why}))
    assert task.stats()["message"] == "v0002: Promoted: better. Left out, because they cannot be read: case-2."
