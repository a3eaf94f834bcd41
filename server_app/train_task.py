"""The train task: what MONAI Label's training subprocess runs, and what the server shows of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from server_app.datastore import CaseDatastore
from server_app.progress import read_progress
from server_app.retrain import RetrainJob, run_in_own_process
from server_app.settings import ServerSettings, training_settings
from server_app.spawning import end_with_parent
from server_app.workspace import Workspace
from training.corrections import check_corrections
from training.errors import InputError
from training.retrain import RetrainConfig


class Retraining(TrainTask):
    """Learning from the final labels.

    Args:
        name: Of the task.
        workspace: Where models and progress lie.
        settings: Of the server.
    """

    def __init__(self, name: str, workspace: Workspace, settings: ServerSettings) -> None:
        super().__init__("Retrain the current model on the corrected cases, mixed with phantoms")
        self._name = name
        self._workspace = workspace
        self._settings = settings
        self._submitted: list[dict[str, Any]] = []

    def config(self) -> dict[str, Any]:
        """Return the settings a client may change, with their defaults."""
        return self._settings.retrain.model_dump(mode="json")

    @property
    def defaults(self) -> RetrainConfig:
        """The settings of a training that is not told others."""
        return self._settings.retrain

    def check(self, request: Mapping[str, Any], datastore: CaseDatastore) -> RetrainConfig:
        """Make sure that a training can start.

        Returns:
            Its settings.

        Raises:
            InputError: If a setting cannot be used, or there is nothing to train on.
        """
        config = training_settings(self._settings.retrain, request, self._name)
        check_corrections(datastore.labels.corrections())
        return config

    def busy(self) -> bool:
        """Tell whether a training waits or runs: MONAI Label knows of one only once its process has started."""
        return any(task.get("status") in ("SUBMITTED", "RUNNING") for task in self._submitted)

    def waiting(self) -> int:
        """Return how many trainings wait for their turn."""
        return sum(task.get("status") == "SUBMITTED" for task in self._submitted)

    def submitted(self, task: dict[str, Any]) -> None:
        """Remember a training that was handed to MONAI Label, whose record of it is live."""
        self._submitted.append(task)

    def stats(self) -> dict[str, Any]:
        """Return the live numbers of the last training; empty if there was none."""
        progress = read_progress(self._workspace.progress_file)
        if not self._submitted:
            return progress
        running = (task for task in self._submitted if task.get("status") == "RUNNING")
        task = next(running, self._submitted[-1])
        status = str(task.get("status"))
        own = progress.get("run") == task["request"].get("run")
        if own and progress.get("state") == "stopped" and status == "ERROR":
            progress.update(state="failed", message="The training's process died; perhaps out of memory.")
        return progress if own else self._before_first_report(task, status)

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train; called in MONAI Label's training subprocess.

        Raises:
            InputError: If a setting or a label cannot be used, or there is nothing to train on.
            RuntimeError: If the training failed otherwise.
        """
        assert isinstance(datastore, CaseDatastore)
        config = self.check(request, datastore)
        job = RetrainJob(
            run=str(request.get("run") or uuid.uuid4().hex),
            models=self._workspace.models,
            bundled=self._settings.model,
            work_dir=self._workspace.training,
            progress=self._workspace.progress_file,
            corrections=tuple(datastore.labels.corrections()),
            config=config,
        )
        end_with_parent()
        code = run_in_own_process(job)
        outcome = read_progress(self._workspace.progress_file)
        message = str(outcome.get("message") or f"The training's process ended with {code}.")
        if code == 2:
            raise InputError(message)
        if code != 0:
            raise RuntimeError(message)
        return {name: outcome.get(name) for name in ("version", "promoted", "verdict", "total_time")}

    def _before_first_report(self, task: dict[str, Any], status: str) -> dict[str, Any]:
        details = list(task.get("details") or [])
        state, message = {
            "SUBMITTED": ("starting", "waiting"),
            "RUNNING": ("starting", "starting"),
            "STOPPED": ("stopped", "Stopped before the first epoch."),
        }.get(status, ("failed", details[-1] if details else "The training did not start."))
        return {
            "run": task["request"].get("run"),
            "state": state,
            "message": message,
            "epoch": 0,
            "total_epochs": task["request"].get("max_epochs", self._settings.retrain.max_epochs),
            "best_metric": 0.0,
            "train": {},
            "eval": {},
            "eta": None,
            "history": [],
        }
