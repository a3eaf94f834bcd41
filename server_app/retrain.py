"""A training as its own process: from the job's description to the new version, with live progress.

MONAI Label starts trainings in a subprocess that has imported torch. This one is started from there, light, so that
TensorFlow has the process for itself; it ends when its parent does.
"""

from __future__ import annotations

import multiprocessing
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from server_app.spawning import become_child, light_main
from training.corrections import Correction
from training.errors import InputError
from training.model_store import ModelStore
from training.retrain import RetrainConfig


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
    """

    run: str
    models: Path
    bundled: Path
    work_dir: Path
    progress: Path
    corrections: tuple[Correction, ...]
    config: RetrainConfig


def run_in_own_process(job: RetrainJob) -> int:
    """Run a training in a process of its own and wait for it; return its exit code."""
    process = multiprocessing.get_context("spawn").Process(target=run, args=(job,), name="tumorloop-retrain")
    with light_main():
        process.start()
    process.join()
    return process.exitcode or 0


def run(job: RetrainJob) -> None:
    """Train; the whole life of the process.

    Exits with 2 if the input cannot be used and with 1 on any other error; the progress file says why.
    """
    become_child()
    from server_app.progress import ProgressWriter
    from training.retrain import retrain

    progress = ProgressWriter(job.progress, job.run, job.config.max_epochs)
    try:
        result = retrain(
            ModelStore(job.models, job.bundled),
            job.corrections,
            config=job.config,
            work_dir=job.work_dir,
            on_progress=progress.update,
        )
    except InputError as error:
        progress.failed(error.message)
        print(error.message, flush=True)
        sys.exit(2)
    except Exception as error:  # noqa: BLE001 - whatever it is, the person who waits must be told
        traceback.print_exc()
        progress.failed(f"The training failed: {type(error).__name__}: {error}")
        sys.exit(1)
    progress.done(result)
    print(f"{result.version.id}: {result.verdict}", flush=True)
