"""The progress of a training run: one small file, which the training replaces and anything may read."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Sequence
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import psutil

from server_app.errors import without_folders
from server_app.settings import RETRAIN, SITE
from server_app.spawning import is_alive
from training.atomic import write_json
from training.fitting.config import FitProgress
from training.labels import REGIONS
from training.retraining.retrain import RetrainProgress, RetrainResult


class Failure(str, Enum):
    """Why a training run failed."""

    #: The input cannot be used; the next attempt would fail in the same way.
    INPUT = "input"
    DISK_FULL = "disk full"
    #: The system killed its process.
    KILLED = "killed"
    ERROR = "error"


#: States in which the process of a training run is running.
RUNNING_STATES = frozenset({"preparing", "training", "judging"})
#: What a process takes over from the previous one for the same training.
_KEPT = ("start_ts", "epoch", "best_metric", "train", "eval", "history")
#: Seconds between two writes while nothing but the step changes.
_EVERY = 0.5


class ProgressWriter:
    """Writes the file, from inside a training run.

    Args:
        path: The file.
        run: Identifies the training.
        total_epochs: Epochs to run at most.
        notes: Sentences about what happened before this process was started.
        mode: What the training does.
    """

    def __init__(self, path: Path, run: str, total_epochs: int, notes: Sequence[str] = (), mode: str = RETRAIN) -> None:
        self._path = path
        self._started = time.time()
        self._written = 0.0
        self._content: dict[str, Any] = {
            "run": run,
            "mode": mode,
            "pid": os.getpid(),
            "process_started": psutil.Process().create_time(),
            "start_ts": int(self._started),
            "state": "preparing",
            "message": "starting",
            "epoch": 0,
            "total_epochs": total_epochs,
            "best_metric": 0.0,
            "train": {},
            "eval": {},
            "eta": None,
            "history": [],
            "skipped": {},
            "notes": list(notes),
            "heartbeat": self._started,
        }
        earlier = read_progress(path)
        if earlier.get("run") == run:  # this process continues what another one began
            self._content.update({name: earlier[name] for name in _KEPT if name in earlier})
        self._write()

    def update(self, progress: RetrainProgress) -> None:
        """Write what a retraining reports; steps within an epoch at most twice a second."""
        content = self._content
        new_stage = progress.state != content["state"]
        new_epoch = progress.fit is not None and progress.fit.epoch != content["epoch"]
        content.update(state=progress.state, message=progress.message, eta=None, heartbeat=time.time())
        if progress.note:
            content["notes"].append(progress.note)
        if progress.skipped:
            content["skipped"] = {case: without_folders(why) for case, why in progress.skipped.items()}
        if progress.fit is not None:
            content.update(_numbers(progress.fit))
        if new_stage or new_epoch or progress.fit is None or time.time() - self._written > _EVERY:
            self._write()

    def done(self, result: RetrainResult) -> None:
        """Report the end."""
        self._content.update(
            state="done",
            message=f"{result.version.id}: {result.verdict}{_left_out(result)}",
            version=result.version.id,
            promoted=result.promoted,
            verdict=result.verdict,
            outcome=result.outcome,
            eta=0.0,
            total_time=self._elapsed(),
        )
        self._write()

    def failed(self, failure: Failure, message: str) -> None:
        """Report that the training failed, and why."""
        self._content.update(state="failed", failure=failure.value, message=message, eta=None)
        self._write()

    def _elapsed(self) -> str:
        return str(timedelta(seconds=int(time.time() - self._started)))

    def _write(self) -> None:
        self._written = time.time()
        message = without_folders(self._content["message"])
        with contextlib.suppress(OSError):  # the training itself notices and reports a full disk
            write_json(self._path, {**self._content, "message": message, "current_time": self._elapsed()})


def read_progress(path: Path, stall_seconds: float = math.inf) -> dict[str, Any]:
    """Return the content of the file; empty if there was no training run.

    Args:
        path: The file.
        stall_seconds: A training run that has not reported for so long is ``stalled``.

    A training run whose process is gone is ``stopped``. A running one has ``idle_seconds``, since its last report.
    """
    try:
        content = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
    if content.get("state") in RUNNING_STATES and not is_alive(content):
        epoch, total = content.get("epoch"), content.get("total_epochs")
        message = "Stopped." if content.get("mode") == SITE else f"Stopped after {epoch} of {total} epochs."
        content.update(state="stopped", message=message, eta=None)
    elif content.get("state") in RUNNING_STATES:
        idle = max(0.0, time.time() - float(content.get("heartbeat") or time.time()))
        content.update(idle_seconds=round(idle, 1), stalled=idle > stall_seconds)
        if content["stalled"]:
            then = "" if content.get("mode") == SITE else ": it continues from its last complete epoch"
            content["message"] = f"No progress for {idle / 60:.0f} minutes. Stop the training and start it again{then}."
    return content


def _numbers(fit: FitProgress) -> dict[str, Any]:
    validation = {name: _rounded(fit.validation[name]) for name in (*REGIONS, "mean") if name in fit.validation}
    return {
        "epoch": fit.epoch,
        "total_epochs": fit.total_epochs,
        "step": fit.step,
        "steps": fit.steps,
        "best_metric": max(0.0, round(fit.best_metric, 5)),
        "train": {"loss": _rounded(fit.loss)},
        "eval": validation,
        "eta": round(max(0.0, fit.eta_seconds), 1),
        "history": fit.history,
    }


def _left_out(result: RetrainResult) -> str:
    return f" Left out, because they cannot be read: {', '.join(sorted(result.skipped))}." if result.skipped else ""


def _rounded(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None
