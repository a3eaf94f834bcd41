"""Starting, queueing, resuming and stopping training runs, on top of MONAI Label's tasks."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

import psutil
from fastapi import HTTPException
from monailabel.utils.async_tasks.task import AsyncTask

from server_app.cases.submissions import Submissions
from server_app.common.params import flag, user_of
from server_app.errors import input_errors, refusal, unknown
from server_app.retraining.queue import MAX_WAITING, TrainingQueue
from server_app.retraining.task import Retraining
from server_app.settings import RETRAIN, SITE
from training.errors import InputError
from training.retraining.config import RetrainConfig
from training.retraining.site import SiteConfig

logger = logging.getLogger(__name__)


class Trainings:
    """The training runs of one server. Thread-safe.

    Args:
        trainers: The train tasks by name.
        labels: What they learn from.
    """

    def __init__(self, trainers: Mapping[str, Retraining], labels: Submissions) -> None:
        self.trainers = trainers
        self._labels = labels
        self._queue = TrainingQueue()
        self._submitting = threading.Lock()

    def install(self) -> None:
        """Take MONAI Label's training runs over; in the web process only."""
        self._queue.install()

    def trainer(self, name: str) -> Retraining:
        """Return a train task; 404 if there is none of that name."""
        task = self.trainers.get(name)
        if task is None:
            raise unknown("model", f"There is no model {name[:80]!r} to train. Known: {', '.join(self.trainers)}.")
        return task

    def start(self, name: str, params: dict[str, Any], *, enqueue: bool) -> dict[str, Any]:
        """Check a training and pass it to MONAI Label's subprocess.

        Args:
            name: Of the trainer.
            params: Settings; ``resume`` continues the interrupted training with its own settings and labels; with
                ``mode`` ``site`` the model is fitted to the site's scanners, without labels.
            enqueue: Whether to wait for a running training instead of being refused.

        Returns:
            MONAI Label's task.

        Raises:
            HTTPException: 404 for an unknown trainer, 422 if it cannot start, 429 while another one runs (or too many
                wait).
        """
        trainer = self.trainer(name)
        with self._submitting:
            with input_errors():
                resume = flag(params, "resume")
                params = {key: value for key, value in params.items() if key != "resume"}
                config = _resumed(trainer, params) if resume else trainer.check(params, self._labels)
            if not enqueue and trainer.busy():
                raise refusal(429, "model", "A training run is already in progress. Wait for it, or stop it.")
            if len(self._queue.waiting()) >= MAX_WAITING:
                raise refusal(
                    429, "model", f"{MAX_WAITING} training runs are already waiting. Withdraw one of them first."
                )
            request = {"model": name, "run": os.urandom(8).hex(), **config.model_dump(mode="json")}
            request["user"] = user_of(params)
            if isinstance(config, SiteConfig):
                request["mode"] = SITE
            if resume:
                request["resume"] = True
            task, _ = AsyncTask.run("train", request=request, enqueue=True)  # its own check ignores waiting ones
            trainer.track(task)  # the same object, whose status MONAI Label updates
        return dict(task)

    def resume_all(self) -> None:
        """Continue a training run that was interrupted by the end of the server."""
        for name, trainer in self.trainers.items():
            training = trainer.unfinished()
            if training is None or training.stopped:
                continue
            try:
                self.start(name, {"resume": True}, enqueue=True)
                logger.info("The interrupted training continues.")
            except HTTPException as error:
                logger.warning("The interrupted training cannot continue: %s", error.detail)

    def queue(self, name: str) -> dict[str, Any]:
        """Return the running training (or ``None``) and those that wait, next one first; 404 for an unknown trainer."""
        self.trainer(name)
        running, _ = AsyncTask.status("train", check_if_running=True)
        return {
            "running": _shown(running) if running else None,
            "waiting": [_shown(task) for task in self._queue.waiting()],
        }

    def withdraw(self, name: str, task_id: str) -> dict[str, Any]:
        """Remove a waiting training from the queue.

        Raises:
            HTTPException: 404 for an unknown trainer or training, 409 if it is running already.
        """
        self.trainer(name)
        task = self._queue.withdraw(task_id)
        if task is not None:
            return _shown(task)
        if self._queue.find(task_id) is not None:
            raise refusal(409, "task", "This training is already running. Stop it instead.")
        raise unknown("task", f"There is no training job {task_id[:64]!r} in the queue.")

    def stop(self) -> dict[str, Any] | None:
        """Stop the running training, or withdraw the next one if none is running; return its task."""
        stopped = stop_task("train")
        if stopped is not None:
            if stopped["request"].get("mode", RETRAIN) == RETRAIN:
                self.trainer(stopped["request"]["model"]).mark_stopped()
        else:
            waiting = self._queue.waiting()
            stopped = self._queue.withdraw(str(waiting[0]["id"])) if waiting else None
        return stopped

    def close(self) -> None:
        """Withdraw waiting training runs and stop the running one, which can be continued later."""
        self._queue.close()
        stop_task("train")


def stop_task(method: str) -> dict[str, Any] | None:
    """Stop MONAI Label's running task, ``"train"`` or ``"batch_infer"``; return it, ``None`` if none is running."""
    for _ in range(3):  # MONAI Label fails if one of its processes ends at the same time
        with contextlib.suppress(psutil.NoSuchProcess):
            return AsyncTask.stop(method)
    return None


def _resumed(trainer: Retraining, params: dict[str, Any]) -> RetrainConfig:
    """Return the settings of the training that is to continue."""
    others = sorted(set(params) & {"mode", *RetrainConfig.model_fields})
    if others:
        raise InputError(
            f"A training run continues with its own settings. Leave out {', '.join(others)}, or do not resume.",
            field=others[0],
        )
    training = trainer.training_to_resume()
    trainer.memory_need(training.config, must_fit=True)
    return training.config


def _shown(task: dict[str, Any]) -> dict[str, Any]:
    request = task["request"]
    shown = {name: task.get(name) for name in ("id", "status", "start_ts", "end_ts")}
    asked = {name: request.get(name) for name in ("user", "max_epochs", "run")}
    return {**shown, **asked, "mode": request.get("mode", RETRAIN)}
