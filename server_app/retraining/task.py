"""The train task: what MONAI Label's training subprocess runs, and what the server reports about it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.train import TrainTask

from server_app.cases.datastore import CaseDatastore
from server_app.cases.submissions import Submissions
from server_app.disk import is_disk_full
from server_app.retraining.process import DISK_FULL, DISK_FULL_MESSAGE, RetrainJob, run_until_done
from server_app.retraining.progress import Failure, ProgressWriter, read_progress
from server_app.retraining.queue import NOT_RUN
from server_app.retraining.unfinished import Unfinished, UnfinishedFile
from server_app.settings import RETRAIN, SITE, ServerSettings, site_settings, training_mode, training_settings
from server_app.spawning import end_with_parent
from server_app.workspace import Workspace
from training.errors import InputError
from training.fitting.memory import MemoryNeed, gigabytes, need_of
from training.models.store import ModelStore
from training.retraining.config import RetrainConfig
from training.retraining.corrections import check_corrections
from training.retraining.site import SiteConfig, check_studies


class Retraining(TrainTask):
    """Learning from the final labels.

    Args:
        name: Of the task.
        workspace: Holds models and progress.
        settings: Of the server.
    """

    def __init__(self, name: str, workspace: Workspace, settings: ServerSettings) -> None:
        super().__init__("Retrain the current model on the corrected cases, mixed with phantoms")
        self._name = name
        self._workspace = workspace
        self._settings = settings
        self._models = ModelStore(workspace.models, settings.model)
        self._submitted: list[dict[str, Any]] = []
        self._unfinished = UnfinishedFile(workspace.unfinished_file)

    def config(self) -> dict[str, Any]:
        """Return the settings a client may change, with their defaults."""
        return self._settings.retrain.model_dump(mode="json")

    @property
    def defaults(self) -> RetrainConfig:
        """The default settings of a training run."""
        return self._settings.retrain

    def check(self, request: Mapping[str, Any], labels: Submissions) -> RetrainConfig | SiteConfig:
        """Check that a training run can start, and return its settings.

        Raises:
            InputError: If a setting cannot be used, or there is nothing to train on.
        """
        if training_mode(request, self._name) == SITE:
            site = site_settings(request, self._name)
            check_studies(len(labels.cases()))
            return site
        config = training_settings(self._settings.retrain, request, self._name)
        check_corrections(labels.corrections())
        self.memory_need(config, must_fit=True)
        return config

    def memory_need(self, config: RetrainConfig, *, must_fit: bool = False) -> MemoryNeed:
        """Estimate the memory that a training run needs.

        Raises:
            InputError: If there is no model to start from; with ``must_fit``, if memory is short even for single
                patches.
        """
        network = self._models.current().card.network
        need = need_of(network, config.patch, config.batch_size)
        if must_fit and need.batch_size == 0:
            raise InputError(
                f"This training needs about {gigabytes(need.bytes)} of memory even with one patch per batch, and "
                f"{gigabytes(need.free_bytes or 0)} are free. Choose a smaller patch, or free some memory.",
                field="patch",
            )
        return need

    def unfinished(self) -> Unfinished | None:
        """Return the training that was interrupted and can continue; ``None`` if there is none."""
        training = self._unfinished.load()
        return training if training is not None and not self.busy() else None

    def mark_stopped(self) -> None:
        """Record that a user stopped the training in progress."""
        self._unfinished.mark_stopped()

    def training_to_resume(self) -> Unfinished:
        """Return the training that is to continue.

        Raises:
            InputError: If there is none, or the model it started from is no longer served.
        """
        training = self.unfinished()
        if training is None:
            raise InputError("There is no training run to continue. Start one without resume.", field="resume")
        served = self._models.current().id
        if training.parent != served:
            raise InputError(
                f"The interrupted training started from {training.parent}, but {served} is served now. Do not resume.",
                field="resume",
            )
        return training

    def busy(self) -> bool:
        """Return whether a training run is waiting or in progress: MONAI Label knows of it only once it has started."""
        return any(task.get("status") in ("SUBMITTED", "RUNNING") for task in self._submitted)

    def waiting(self) -> int:
        """Return how many training runs are waiting."""
        return sum(task.get("status") == "SUBMITTED" for task in self._submitted)

    def track(self, task: dict[str, Any]) -> None:
        """Remember MONAI Label's record of a training run, which it keeps up to date."""
        self._submitted.append(task)

    def stats(self) -> dict[str, Any]:
        """Return the live numbers of the last training; empty if there was none.

        ``resumable`` says whether it was interrupted and can continue.
        """
        found = self._stats()
        found.pop("failure", None)
        if found.get("state") in ("stopped", "failed"):
            found["resumable"] = found.get("mode") != SITE and self.unfinished() is not None
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
            progress.update(state="preparing", message="The training's process ended; it is being started again.")
        if own and progress.get("state") == "stopped" and status == "ERROR":
            reason = _sentence_in_output(task) or "The training's process died; the machine may be out of memory."
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
        run, mode = str(request.get("run") or uuid.uuid4().hex), str(request.get("mode", RETRAIN))
        try:
            job = self._job(run, request, datastore.labels)
        except InputError as error:
            self._report(run, Failure.INPUT, error.message, mode)
            raise
        except OSError as error:
            if is_disk_full(error):
                raise InputError(DISK_FULL_MESSAGE) from error
            raise
        code = run_until_done(job)
        outcome = read_progress(self._workspace.progress_file)
        failure = Failure(outcome["failure"]) if code > 0 and "failure" in outcome else None
        if code == 0 or failure is Failure.INPUT:
            self._unfinished.delete(run)
        if code < 0:
            message = "The training's process was killed repeatedly; the machine may be out of memory."
            if mode == RETRAIN:
                message += f" It can continue after epoch {outcome.get('epoch')}."
            self._report(run, Failure.KILLED, message, mode)
            raise RuntimeError(message)
        if code == DISK_FULL:
            raise InputError(DISK_FULL_MESSAGE)
        if code > 0:
            message = str(outcome.get("message") or f"The training's process ended with {code}.")
            raise InputError(message) if failure is Failure.INPUT else RuntimeError(message)
        return {name: outcome.get(name) for name in ("version", "promoted", "verdict", "outcome", "total_time")}

    def _report(self, run: str, failure: Failure, message: str, mode: str) -> None:
        """Write a failure outside of the training's own process into the progress file."""
        file = self._workspace.progress_file
        earlier = read_progress(file)
        own = earlier if earlier.get("run") == run else {}
        total_epochs = int(own.get("total_epochs") or self._settings.retrain.max_epochs)
        ProgressWriter(file, run, total_epochs, own.get("notes") or (), mode).failed(failure, message)

    def _job(self, run: str, request: Mapping[str, Any], labels: Submissions) -> RetrainJob:
        """Return the job of a request; a retraining is recorded, so that it can continue if it is interrupted."""
        job = partial(
            RetrainJob,
            run=run,
            models=self._workspace.models,
            bundled=self._settings.model,
            work_dir=self._workspace.training,
            progress=self._workspace.progress_file,
        )
        notes: tuple[str, ...] = ()
        if request.get("resume") is True:
            training = replace(self.training_to_resume(), run=run, stopped=False)
            notes = ("It continues where an earlier training run was interrupted.",)
        else:
            config = self.check(request, labels)
            if isinstance(config, SiteConfig):  # takes a minute or two: it is not continued, it starts over
                return job(corrections=(), config=config, cases=tuple(labels.cases()))
            parent = self._models.current().id
            training = Unfinished(run, parent, config, tuple(labels.corrections()))
        need = self.memory_need(training.config, must_fit=True)
        if need.batch_size < training.config.batch_size:
            notes += (f"There is memory for only {need.batch_size} patches per batch.",)
        self._unfinished.save(training)
        return job(corrections=training.corrections, config=training.config, batch_size=need.batch_size, notes=notes)

    def _before_first_report(self, task: dict[str, Any], status: str) -> dict[str, Any]:
        details = list(task.get("details") or [])
        failed = _sentence_in_output(task) or (details[-1] if details else "The training did not start.")
        state, message = {
            "SUBMITTED": ("starting", "waiting"),
            "RUNNING": ("starting", "starting"),
            "STOPPED": ("stopped", "Stopped before the first epoch."),
        }.get(status, ("failed", failed))
        request = task["request"]
        mode = request.get("mode", RETRAIN)
        return {
            "run": request.get("run"),
            "mode": mode,
            "state": state,
            "message": message,
            "epoch": 0,
            "total_epochs": 1 if mode == SITE else request.get("max_epochs", self._settings.retrain.max_epochs),
            "best_metric": 0.0,
            "train": {},
            "eval": {},
            "eta": None,
            "history": [],
        }


def _sentence_in_output(task: Mapping[str, Any]) -> str | None:
    """Return the sentence in a task's output for a failure that the progress file cannot hold."""
    for line in reversed(list(task.get("details") or [])):
        for sentence in (DISK_FULL_MESSAGE, NOT_RUN):
            if sentence in str(line):
                return str(line)[str(line).index(sentence) :]
    return None
