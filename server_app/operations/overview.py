"""The state of the server at one glance: for ``/info``, ``/healthz`` and ``/metrics``."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any

from server_app.operations.run_record import RunRecord
from server_app.retraining.progress import RUNNING_STATES
from training.errors import InputError

if TYPE_CHECKING:
    from server_app.app import TumorLoopApp


class Overview:
    """Looks at the parts of an app.

    Args:
        app: The app.
        record: Of this run.
    """

    def __init__(self, app: TumorLoopApp, record: RunRecord) -> None:
        self._app = app
        self._record = record

    def info(self) -> dict[str, Any]:
        """Return what ``/info`` says under ``server``.

        Returns:
            ``started``; ``accident``: a sentence if the run before was not shut down in order; ``inference``: see
            :meth:`server_app.inference.worker.InferenceWorker.condition`.
        """
        return {
            "started": self._record.started,
            "accident": self._record.accident,
            "inference": self._app.worker.status(),
        }

    def problems(self) -> dict[str, str]:
        """Return what is wrong, by the part's name, in sentences that everybody may read; empty if all is well."""
        found = {}
        try:
            if self._free_bytes() < self._app.server_settings.limits.min_free_bytes:
                found["disk"] = "The disk of the workspace is nearly full: nothing is stored any more."
        except OSError:
            found["disk"] = "The workspace cannot be reached."
        try:
            self._app.models.current()
        except (InputError, OSError):
            found["model"] = "There is no model that can be served."
        if self._app.worker.status()["state"] == "ended":
            found["inference"] = "The server is shutting down."
        return found

    def gauges(self) -> dict[str, float]:
        """Return the values of :class:`server_app.common.metrics.StateCollector`."""
        values = {"inference_queue": float(self._app.worker.status()["queue"])}
        for name in self._app.trainer_names():
            trainer = self._app.trainer(name)
            stats = trainer.stats()
            values["training_running"] = float(stats.get("state") in {"starting", *RUNNING_STATES})
            values["training_stalled"] = float(bool(stats.get("stalled")))
            values["training_epoch"] = float(stats.get("epoch") or 0)
            values["trainings_waiting"] = float(trainer.waiting())
        with contextlib.suppress(OSError):  # /healthz says so
            values["disk_free_bytes"] = float(self._free_bytes())
        return values

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._app.workspace.root).free
