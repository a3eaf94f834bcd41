"""A training run as a process of its own: from the job's description to the new version, with live progress.

MONAI Label starts training runs in a subprocess that has imported torch. It starts this process, which imports only
TensorFlow and ends when its parent does. If it is killed, it is started again and continues from its last complete
epoch.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

from server_app.disk import is_disk_full
from server_app.retraining.progress import Failure, ProgressWriter, read_progress
from server_app.settings import RETRAIN, SITE
from server_app.spawning import hidden_main, init_child
from training.cases.case import Case
from training.errors import InputError
from training.models.store import ModelStore
from training.retraining.config import RetrainConfig
from training.retraining.corrections import Correction
from training.retraining.retrain import RetrainResult
from training.retraining.site import SiteConfig

#: The exit code of the process when the disk was full, which the progress file may not say then; 1 is any other
#: failure.
DISK_FULL = 3
DISK_FULL_MESSAGE = (
    "The server's disk is full, so the training has stopped. Ask its administrator to free space, then start it again: "
    "it continues from its last complete epoch."
)
#: How often a training run is started again without having completed another epoch.
_RESTARTS = 2


@dataclass(frozen=True)
class RetrainJob:
    """What a training run needs to know.

    Attributes:
        run: Identifies it in the progress file.
        models: The model store's folder.
        bundled: Folder of the model to start with.
        work_dir: For prepared cases and the checkpoint.
        progress: The progress file.
        corrections: Labeled cases, with their split.
        config: Settings; those of a fit to the site's scanners need ``cases`` instead of ``corrections``.
        batch_size: Patches per batch to begin with; ``None`` takes those of ``config``.
        notes: Sentences about what happened so far.
        cases: The studies to fit to.
    """

    run: str
    models: Path
    bundled: Path
    work_dir: Path
    progress: Path
    corrections: tuple[Correction, ...]
    config: RetrainConfig | SiteConfig
    batch_size: int | None = None
    notes: tuple[str, ...] = ()
    cases: tuple[Case, ...] = ()

    @property
    def mode(self) -> str:
        """What it does: :data:`server_app.settings.RETRAIN` or :data:`server_app.settings.SITE`."""
        return SITE if isinstance(self.config, SiteConfig) else RETRAIN


def run_until_done(job: RetrainJob) -> int:
    """Execute a training run in a process of its own, and again if it was killed; return the last exit code.

    A process that is killed before it has completed an epoch gets half as many patches per batch the next time, since
    the system kills processes that take too much memory. One that was asked to end is not started again.
    """
    restarts, reached = _RESTARTS, _epoch(job)
    while True:
        code = run_in_own_process(job)
        if code >= 0 or code in (-signal.SIGTERM, -signal.SIGINT):
            return code
        epoch = _epoch(job)
        restarts = _RESTARTS if epoch > reached else restarts - 1
        if restarts < 0:
            return code
        job = _restarted(job, max(epoch, reached), smaller=epoch <= reached)
        reached = max(epoch, reached)


def _restarted(job: RetrainJob, epoch: int, *, smaller: bool) -> RetrainJob:
    if isinstance(job.config, SiteConfig):
        return replace(job, notes=(*job.notes, "The training's process was killed; it started over."))
    batch = job.batch_size or job.config.batch_size
    note = f"The training's process was killed; it continued after epoch {epoch}."
    if smaller and batch > 1:
        batch //= 2
        note = f"{note[:-1]}, with {batch} patches per batch in case memory was short."
    print(note, flush=True)
    return replace(job, batch_size=batch, notes=(*job.notes, note))


def _epoch(job: RetrainJob) -> int:
    """Return how many epochs of this training are complete."""
    progress = read_progress(job.progress)
    return int(progress.get("epoch") or 0) if progress.get("run") == job.run else 0


def run_in_own_process(job: RetrainJob) -> int:
    """Execute a training run in a process of its own and wait for it; return its exit code."""
    process = multiprocessing.get_context("spawn").Process(target=run, args=(job,), name="tumorloop-retrain")
    with hidden_main():
        process.start()
    process.join()
    return process.exitcode or 0


def run(job: RetrainJob) -> None:
    """Train; everything that the process does.

    Exits with :data:`DISK_FULL` if the disk is full and 1 on any other failure; the progress file says which.
    """
    init_child(niceness=5, oom_score=600)  # clients wait for inferences, not for epochs
    epochs = 1 if isinstance(job.config, SiteConfig) else job.config.max_epochs
    progress = ProgressWriter(job.progress, job.run, epochs, job.notes, job.mode)
    try:
        result = _trained(job, progress)
    except InputError as error:
        progress.failed(Failure.INPUT, error.message)
        print(error.message, flush=True)
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - any error must be reported to the client
        if is_disk_full(error):
            progress.failed(Failure.DISK_FULL, DISK_FULL_MESSAGE)
            sys.exit(DISK_FULL)
        traceback.print_exc()
        progress.failed(Failure.ERROR, f"The training failed: {type(error).__name__}: {error}")
        sys.exit(1)
    progress.done(result)
    print(f"{result.version.id}: {result.verdict}", flush=True)


def _trained(job: RetrainJob, progress: ProgressWriter) -> RetrainResult:
    """Do what the job says, and return the outcome."""
    from training.retraining.retrain import retrain
    from training.retraining.site import fit_and_promote

    store = ModelStore(job.models, job.bundled)
    if isinstance(job.config, SiteConfig):
        return fit_and_promote(store, job.cases, config=job.config, work_dir=job.work_dir, on_progress=progress.update)
    return retrain(
        store,
        job.corrections,
        config=job.config,
        work_dir=job.work_dir,
        batch_size=job.batch_size,
        on_progress=progress.update,
    )
