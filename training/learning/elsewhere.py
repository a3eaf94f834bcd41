"""The lines of a learning curve on a cluster: each is a job that resumes from its own folder."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.learning.curve import LearningCurve
from training.learning.hospital import Hospital
from training.learning.settings import CurveSettings
from training.parallel import Workers, completed
from training.prediction.lazy import LazySegmenter
from training.retraining.config import RetrainConfig

_PHANTOMS = "phantoms"


@dataclass(frozen=True)
class LineJob:
    """One line: a hospital, a strategy and an order.

    Attributes:
        parent: The version that it begins with.
        hospitals: All hospitals.
        settings: What is measured.
        config: Settings of each retraining.
        work_dir: The work folder, absolute.
        only: Names of the hospitals whose cases are corrected.
        name: Of the line.
    """

    parent: LazySegmenter
    hospitals: list[Hospital]
    settings: CurveSettings
    config: RetrainConfig
    work_dir: Path
    only: tuple[str, ...]
    name: str


def run_lines(
    curve: LearningCurve, only: tuple[str, ...], workers: Workers, on_finished: Callable[[int, int, str], None]
) -> None:
    """Run the lines of a learning curve, so that :meth:`LearningCurve.run` finds their stages finished.

    Args:
        curve: The learning curve.
        only: As it was made with.
        workers: Where to run them.
        on_finished: Called with the number of lines done, their total, and the name of a line.

    Raises:
        InputError: As :meth:`LearningCurve.run`.
    """
    curve.prepare()
    parent, work = LazySegmenter.of(curve.parent), curve.work_dir.absolute()
    jobs = [
        LineJob(parent, curve.hospitals, curve.settings, curve.config, work, only, str(line))
        for line in curve.lines
        if len(line.stages) < len(curve.settings.counts)
    ]
    for number, (job, answer) in enumerate(completed(_run, jobs, workers), start=1):
        answer.result()
        on_finished(number, len(jobs), job.name)


def _run(job: LineJob) -> None:
    curve = LearningCurve(
        job.parent.version(),
        job.hospitals,
        settings=job.settings,
        config=job.config,
        work_dir=job.work_dir,
        only=job.only,
    )
    curve.prepare()
    line = next(line for line in curve.lines if str(line) == job.name)
    folder = job.work_dir / "retraining" / line.folder.relative_to(job.work_dir / "curves")
    shared = job.work_dir / "retraining" / _PHANTOMS
    for made in (folder, shared):
        made.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):  # the replayed phantoms are the same for all lines
        os.symlink(os.path.relpath(shared, folder), folder / _PHANTOMS, target_is_directory=True)
    curve.run_line(line, folder)
    shutil.rmtree(folder, ignore_errors=True)
