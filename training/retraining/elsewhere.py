"""The folds of a cross-validation on a cluster: each is a job that resumes from its own folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.parallel import Workers, completed
from training.prediction.lazy import LazySegmenter
from training.retraining.config import RetrainConfig
from training.retraining.corrections import Correction
from training.retraining.cross_validation import CrossValidation


@dataclass(frozen=True)
class FoldJob:
    """One fold, or the training on all cases.

    Attributes:
        parent: The version to train from.
        corrections: The labeled cases.
        folds: Number of folds.
        config: Settings.
        work_dir: The work folder, absolute.
        number: Of the fold, from 1; 0 for all cases.
    """

    parent: LazySegmenter
    corrections: list[Correction]
    folds: int
    config: RetrainConfig
    work_dir: Path
    number: int

    @property
    def name(self) -> str:
        """What it is called."""
        return f"fold {self.number}" if self.number else "the training on all cases"


def run_folds(run: CrossValidation, workers: Workers, *, final: bool) -> None:
    """Run the folds, so that :meth:`CrossValidation.run_fold` finds them finished; call ``run.prepare`` before.

    Args:
        run: The cross-validation.
        workers: Where to run them.
        final: Whether to train on all cases as well.

    Raises:
        InputError: If a case cannot be used; see :meth:`CrossValidation.run_fold`.
    """
    parent, work = LazySegmenter.of(run.parent), run.work_dir.absolute()
    numbers = [*([0] if final else []), *range(1, len(run.folds) + 1)]
    jobs = [FoldJob(parent, run.corrections, len(run.folds), run.config, work, number) for number in numbers]
    for job, answer in completed(_run, jobs, workers):
        answer.result()
        run.tell(f"finished {job.name}")


def _run(job: FoldJob) -> None:
    run = CrossValidation(
        job.parent.version(), job.corrections, folds=job.folds, config=job.config, work_dir=job.work_dir
    )
    if job.number:
        run.run_fold(job.number)
    else:
        run.run_final()
