"""A training as its own process: from the job's description to the new version, with live progress.

MONAI Label starts trainings in a subprocess that has imported torch. This one is started from there, light, so that
TensorFlow has the process for itself; it ends when its parent does. If it is killed, it is started again and goes on
from its last whole epoch.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

from server_app.retraining.progress import read_progress
from server_app.spawning import hidden_main, init_child
from training.errors import InputError
from training.models.store import ModelStore
from training.retraining.corrections import Correction
from training.retraining.retrain import RetrainConfig

#: Exit codes of the process beside 0 for success and 1 for an unexpected error.
UNUSABLE, DISK_FULL = 2, 3
DISK_FULL_MESSAGE = (
    "The server's disk is full, so the training has stopped. Ask whoever runs the server to make room, then start it "
    "again: it goes on from its last whole epoch."
)
#: So often a training is started again without having finished another epoch since.
_PATIENCE = 2


@dataclass(frozen=True)
class RetrainJob:
    """What a training needs to know.

    Attributes:
        run: Identifies it in the progress file.
        models: The model store's folder.
        bundled: Folder of the model to start with.
        work_dir: For prepared cases and the checkpoint.
        progress: The progress file.
        corrections: Labeled cases, with their split.
        config: Settings.
        batch_size: Patches per batch to begin with; ``None`` takes those of ``config``.
        notes: Sentences on what happened so far.
    """

    run: str
    models: Path
    bundled: Path
    work_dir: Path
    progress: Path
    corrections: tuple[Correction, ...]
    config: RetrainConfig
    batch_size: int | None = None
    notes: tuple[str, ...] = ()


def run_until_done(job: RetrainJob) -> int:
    """Run a training in a process of its own, and again where it was killed; return the last exit code.

    A process that is killed before it has finished an epoch gets half as many patches per batch the next time: the
    system kills whoever takes too much memory. One that was asked to end is not started again.
    """
    patience, reached = _PATIENCE, _epoch(job)
    while True:
        code = run_in_own_process(job)
        if code >= 0 or code in (-signal.SIGTERM, -signal.SIGINT):
            return code
        epoch = _epoch(job)
        patience = _PATIENCE if epoch > reached else patience - 1
        if patience < 0:
            return code
        job = _again(job, max(epoch, reached), smaller=epoch <= reached)
        reached = max(epoch, reached)


def _again(job: RetrainJob, epoch: int, *, smaller: bool) -> RetrainJob:
    batch = job.batch_size or job.config.batch_size
    note = f"The training's process was killed; it went on after epoch {epoch}."
    if smaller and batch > 1:
        batch //= 2
        note = f"{note[:-1]}, with {batch} patches per batch, in case it was for lack of memory."
    print(note, flush=True)
    return replace(job, batch_size=batch, notes=(*job.notes, note))


def _epoch(job: RetrainJob) -> int:
    """Return how many epochs of this very training are finished."""
    progress = read_progress(job.progress)
    return int(progress.get("epoch") or 0) if progress.get("run") == job.run else 0


def run_in_own_process(job: RetrainJob) -> int:
    """Run a training in a process of its own and wait for it; return its exit code."""
    process = multiprocessing.get_context("spawn").Process(target=run, args=(job,), name="tumorloop-retrain")
    with hidden_main():
        process.start()
    process.join()
    return process.exitcode or 0


def run(job: RetrainJob) -> None:
    """Train; the whole life of the process.

    Exits with 2 if the input cannot be used, 3 if the disk is full, 1 on any other error; the progress file says why.
    """
    init_child(niceness=5, oom_score=600)  # somebody waits for an inference, nobody for an epoch
    from server_app.disk import is_disk_full
    from server_app.retraining.progress import ProgressWriter
    from training.retraining.retrain import retrain

    progress = ProgressWriter(job.progress, job.run, job.config.max_epochs, job.notes)
    try:
        result = retrain(
            ModelStore(job.models, job.bundled),
            job.corrections,
            config=job.config,
            work_dir=job.work_dir,
            batch_size=job.batch_size,
            on_progress=progress.update,
        )
    except InputError as error:
        progress.failed(error.message)
        print(error.message, flush=True)
        sys.exit(UNUSABLE)
    except Exception as error:  # noqa: BLE001 - whatever it is, the person who waits must be told
        if is_disk_full(error):
            progress.failed(DISK_FULL_MESSAGE)
            sys.exit(DISK_FULL)
        traceback.print_exc()
        progress.failed(f"The training failed: {type(error).__name__}: {error}")
        sys.exit(1)
    progress.done(result)
    print(f"{result.version.id}: {result.verdict}", flush=True)
