"""The train task: what MONAI Label's training subprocess runs, and what the server shows of it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from server_app.cases.datastore import CaseDatastore
from server_app.disk import is_disk_full
from server_app.retraining.process import DISK_FULL, DISK_FULL_MESSAGE, UNUSABLE, RetrainJob, run_until_done
from server_app.retraining.progress import read_progress
from server_app.retraining.unfinished import Unfinished, UnfinishedFile
from server_app.settings import ServerSettings, training_settings
from server_app.spawning import end_with_parent
from server_app.workspace import Workspace
from training.errors import InputError
from training.fitting.memory import MemoryNeed, gigabytes, need_of
from training.models.store import ModelStore
from training.retraining.corrections import check_corrections
from training.retraining.retrain import RetrainConfig


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
        self._unfinished = UnfinishedFile(workspace.unfinished_file)

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
        self.memory_need(config, must_fit=True)
        return config

    def memory_need(self, config: RetrainConfig, *, must_fit: bool = False) -> MemoryNeed:
        """Estimate the memory that a training needs.

        Args:
            config: Its settings.
            must_fit: Whether too little memory is an error.

        Raises:
            InputError: If there is no model to start from, or not enough memory even for single patches.
        """
        network = ModelStore(self._workspace.models, self._settings.model).current().card.network
        need = need_of(network, config.patch, config.batch_size)
        if must_fit and need.batch_size == 0:
            raise InputError(
                f"This training needs about {gigabytes(need.bytes)} of memory even with one patch per batch, and "
                f"{gigabytes(need.free_bytes or 0)} are free. Choose a smaller patch, or free some memory.",
                field="patch",
            )
        return need

    def unfinished(self) -> Unfinished | None:
        """Return the training that was cut off and can go on; ``None`` if there is none."""
        training = self._unfinished.load()
        return training if training is not None and not self.busy() else None

    def stopped(self) -> None:
        """Note that somebody has stopped the training under way."""
        self._unfinished.stop()

    def training_to_resume(self) -> Unfinished:
        """Return the training that is to go on.

        Raises:
            InputError: If there is none, or the model it started from is not served any more.
        """
        training = self.unfinished()
        if training is None:
            raise InputError("There is no training that could go on. Start one without resume.", field="resume")
        served = ModelStore(self._workspace.models, self._settings.model).current().id
        if training.parent != served:
            raise InputError(
                f"The training that was cut off started from {training.parent}, but {served} is served now. Start a "
                "new one.",
                field="resume",
            )
        return training

    def busy(self) -> bool:
        """Tell whether a training waits or runs: MONAI Label knows of one only once its process has started."""
        return any(task.get("status") in ("SUBMITTED", "RUNNING") for task in self._submitted)

    def waiting(self) -> int:
        """Return how many trainings wait for their turn."""
        return sum(task.get("status") == "SUBMITTED" for task in self._submitted)

    def track(self, task: dict[str, Any]) -> None:
        """Remember a training that was handed to MONAI Label, whose record of it is live."""
        self._submitted.append(task)

    def stats(self) -> dict[str, Any]:
        """Return the live numbers of the last training; empty if there was none.

        ``resumable`` tells whether it was cut off and can go on.
        """
        found = self._stats()
        if found.get("state") in ("stopped", "failed"):
            found["resumable"] = self.unfinished() is not None
        return found

    def _stats(self) -> dict[str, Any]:
        progress = read_progress(self._workspace.progress_file, self._settings.stall_seconds)
        if not self._submitted:
            return progress
        running = (task for task in self._submitted if task.get("status") == "RUNNING")
        task = next(running, self._submitted[-1])
        status = str(task.get("status"))
        own = progress.get("run") == task["request"].get("run")
        if own and progress.get("state") == "stopped" and status == "RUNNING":
            progress.update(state="preparing", message="The training's process ended; it is started again.")
        if own and progress.get("state") == "stopped" and status == "ERROR":
            reason = _reason(task) or "The training's process died; perhaps out of memory."
            progress.update(state="failed", message=reason)
        return progress if own else self._before_first_report(task, status)

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Train; called in MONAI Label's training subprocess.

        Raises:
            InputError: If a setting or a label cannot be used, or there is nothing to train on.
            RuntimeError: If the training failed otherwise.
        """
        assert isinstance(datastore, CaseDatastore)
        end_with_parent()
        try:
            job = self._job(request, datastore)
        except OSError as error:
            if is_disk_full(error):
                raise InputError(DISK_FULL_MESSAGE) from error
            raise
        code = run_until_done(job)
        if code in (0, UNUSABLE):
            self._unfinished.delete(job.run)
        outcome = read_progress(self._workspace.progress_file)
        if code < 0:
            raise RuntimeError(
                "The training's process was killed again and again; perhaps the machine is out of memory. It can go on "
                f"after epoch {outcome.get('epoch')}."
            )
        message = str(outcome.get("message") or f"The training's process ended with {code}.")
        if code in (UNUSABLE, DISK_FULL):
            raise InputError(message if code == UNUSABLE else DISK_FULL_MESSAGE)
        if code != 0:
            raise RuntimeError(message)
        return {name: outcome.get(name) for name in ("version", "promoted", "verdict", "total_time")}

    def _job(self, request: dict[str, Any], datastore: CaseDatastore) -> RetrainJob:
        """Describe the training that a request asks for, and write it down so that it can go on if it is cut off."""
        run = str(request.get("run") or uuid.uuid4().hex)
        notes: tuple[str, ...] = ()
        if request.get("resume") is True:
            training = replace(self.training_to_resume(), run=run, stopped=False)
            notes = ("It goes on where an earlier training was cut off.",)
        else:
            config = self.check(request, datastore)
            parent = ModelStore(self._workspace.models, self._settings.model).current().id
            training = Unfinished(run, parent, config, tuple(datastore.labels.corrections()))
        need = self.memory_need(training.config, must_fit=True)
        if need.batch_size < training.config.batch_size:
            notes += (f"There is memory for {need.batch_size} patches per batch only.",)
        self._unfinished.save(training)
        return RetrainJob(
            run=run,
            models=self._workspace.models,
            bundled=self._settings.model,
            work_dir=self._workspace.training,
            progress=self._workspace.progress_file,
            corrections=training.corrections,
            config=training.config,
            batch_size=need.batch_size,
            notes=notes,
        )

    def _before_first_report(self, task: dict[str, Any], status: str) -> dict[str, Any]:
        details = list(task.get("details") or [])
        state, message = {
            "SUBMITTED": ("starting", "waiting"),
            "RUNNING": ("starting", "starting"),
            "STOPPED": ("stopped", "Stopped before the first epoch."),
        }.get(status, ("failed", _reason(task) or (details[-1] if details else "The training did not start.")))
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


def _reason(task: Mapping[str, Any]) -> str | None:
    """Return the sentence with which a training's process has ended, as far as it was one of ours."""
    for line in reversed(list(task.get("details") or [])):
        found = re.fullmatch(r"(?:training\.errors\.InputError|RuntimeError): (.+)", str(line))
        if found:
            return found[1]
    return None
