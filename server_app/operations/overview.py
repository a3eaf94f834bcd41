"""The state of the server as a whole: for ``/info``, ``/healthz`` and ``/metrics``."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import Any

from server_app.inference.worker import InferenceWorker
from server_app.operations.run_record import RunRecord
from server_app.retraining.progress import RUNNING_STATES
from server_app.retraining.trainings import Trainings
from server_app.workspace import Workspace
from training.errors import InputError
from training.models.store import ModelStore


@dataclass(frozen=True)
class Overview:
    """Looks at the parts of a server.

    Attributes:
        workspace: Its disk is watched.
        models: One of them must be usable.
        worker: The inference process.
        trainings: Their progress is measured.
        record: Of this run.
        min_free_bytes: With less free space than this, the server reports a problem.
    """

    workspace: Workspace
    models: ModelStore
    worker: InferenceWorker
    trainings: Trainings
    record: RunRecord
    min_free_bytes: float

    def info(self) -> dict[str, Any]:
        """Return what ``/info`` says under ``server``.

        Returns:
            ``started``; ``accident``: a sentence if the previous run was not shut down properly; ``inference``: see
            :meth:`server_app.inference.worker.InferenceWorker.status`.
        """
        return {
            "started": self.record.started,
            "accident": self.record.accident,
            "inference": self.worker.status(),
        }

    def problems(self) -> dict[str, str]:
        """Return what is wrong, by the name of the part, in sentences fit for everybody; empty if nothing is."""
        found = {}
        try:
            if self._free_bytes() < self.min_free_bytes:
                found["disk"] = "The disk of the workspace is nearly full: nothing is stored any more."
        except OSError:
            found["disk"] = "The workspace cannot be reached."
        try:
            self.models.current()
        except (InputError, OSError):
            found["model"] = "There is no model that can be served."
        if self.worker.status()["state"] == "ended":
            found["inference"] = "The server is shutting down."
        return found

    def gauges(self) -> dict[str, float]:
        """Return the values of :class:`server_app.common.metrics.StateCollector`."""
        values = {"inference_queue": float(self.worker.status()["queue"])}
        for trainer in self.trainings.trainers.values():
            stats = trainer.stats()
            values["training_running"] = float(stats.get("state") in {"starting", *RUNNING_STATES})
            values["training_stalled"] = float(bool(stats.get("stalled")))
            values["training_epoch"] = float(stats.get("epoch") or 0)
            values["trainings_waiting"] = float(trainer.waiting())
        with contextlib.suppress(OSError):  # /healthz says so
            values["disk_free_bytes"] = float(self._free_bytes())
        return values

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self.workspace.root).free
