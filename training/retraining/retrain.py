"""Retraining: a new model version is trained from the current one on corrections, and promoted if it is not worse.

The corrected cases are mixed with replayed phantoms of fixed seeds to prevent forgetting. Parent and candidate are
compared on exactly the same cases: the labeled patients held out for validation and, while there are few of them,
phantoms that are never used in training. "Not worse" means that the mean Dice over cases and regions is at least the
parent's minus a tolerance. If a candidate loses more, weights halfway and then a quarter of the way from the parent to
the candidate are tried.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.fitting.compile import compile_model
from training.fitting.config import FitProgress, FitResult
from training.fitting.score import score
from training.models.store import ModelCard, ModelStore, ModelVersion
from training.models.weights import Weights, average_weights
from training.retraining.config import RetrainConfig
from training.retraining.corrections import REPLAY_SEED, Correction, check_corrections
from training.retraining.fine_tune import fine_tune
from training.retraining.promotion import Scores, decide, metrics_of, not_worse

#: Smallest share of the way from the parent's weights to the trained ones that is tried.
SMALLEST_SHARE = 0.25


@dataclass(frozen=True)
class RetrainProgress:
    """Progress of a retraining.

    Attributes:
        state: ``preparing``, ``training`` or ``judging``.
        message: Description of the current step.
        fit: Progress of the training, while it runs.
        skipped: Id and error message of labeled cases that cannot be read.
        note: An event to keep on record.
    """

    state: str
    message: str
    fit: FitProgress | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class RetrainResult:
    """The outcome: the new version, whether it was promoted and why, and the skipped cases with the reason."""

    version: ModelVersion
    promoted: bool
    verdict: str
    skipped: dict[str, str] = field(default_factory=dict)


def retrain(
    store: ModelStore,
    corrections: Sequence[Correction],
    *,
    config: RetrainConfig,
    work_dir: Path,
    batch_size: int | None = None,
    on_progress: Callable[[RetrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> RetrainResult:
    """Train a candidate from the current version, compare the two, store it, and promote it if it is not worse.

    A kill at any moment leaves the store unchanged; the same call resumes from the last finished epoch.

    Args:
        store: Model store with the current version; the new one is added to it.
        corrections: Labeled cases with their split.
        config: Settings.
        work_dir: Folder for prepared cases, phantoms and the checkpoint; kept between calls.
        batch_size: Initial patches per batch, if memory is known to be too small for that of ``config``.
        on_progress: Called after every step.
        should_stop: Called after every step; ``True`` ends the training and keeps its result so far.

    Raises:
        InputError: If there is nothing to train on, or no label of the training split can be used.
    """
    check_corrections(corrections)
    report = on_progress or (lambda progress: None)
    started = time.perf_counter()
    parent = store.current()
    network = parent.card.network
    start = parent.load_weights()
    settings = config.fit_config()
    mixture = config.mixture(network.stride)
    cases = mixture.prepare(corrections, work_dir, lambda message: report(RetrainProgress("preparing", message)))
    learned = [correction for correction in corrections if correction.case.id not in cases.skipped]
    message = f"evaluating the current model, {parent.id}, on {len(cases.evaluation)} cases"
    report(RetrainProgress("judging", message, skipped=cases.skipped))
    before = score(compile_model(settings, network, start), cases.evaluation, _case_counter(report, message))
    result = fine_tune(
        parent,
        cases,
        config=config,
        work_dir=work_dir,
        batch_size=batch_size,
        on_event=lambda message, note: report(RetrainProgress("training", message, note=note)),
        on_progress=lambda fit_progress: report(
            RetrainProgress("training", _training_message(fit_progress), fit_progress)
        ),
        should_stop=should_stop,
    )
    message = f"evaluating the new model on {len(cases.evaluation)} cases"
    report(RetrainProgress("judging", message))
    candidate = _candidate(
        start,
        result.weights,
        # computed in the precision of the training
        score=lambda weights: score(
            compile_model(settings, network, weights), cases.evaluation, _case_counter(report, message)
        ),
        accept=lambda scores: not_worse(before, scores, config.tolerance),
        report=report,
    )
    after = candidate.scores
    decision = decide(before, after, config.tolerance, parent=parent.id, current=store.current().id)
    card = ModelCard(
        parent=parent.id,
        description=f"Retrained from {parent.id} on {sum(c.split == 'train' for c in learned)} corrected cases",
        network=network,
        data=[correction.seen() for correction in learned],
        attribution=parent.card.attribution,
        training={
            **_record(config, result, time.perf_counter() - started),
            "share_of_the_way": candidate.share,
            "skipped": sorted(cases.skipped),
        },
        metrics=metrics_of(cases.evaluation, before, after),
        verdict=decision.verdict,
    )
    version = store.add(candidate.weights, card)
    (work_dir / "checkpoint.npz").unlink(missing_ok=True)  # the next training starts from scratch
    if decision.promoted:
        store.promote(version.id, decision.verdict)
    return RetrainResult(version, decision.promoted, decision.verdict, cases.skipped)


@dataclass(frozen=True)
class _Candidate:
    """Weights, their scores, and their position from the parent's weights (0) to the trained ones (1)."""

    weights: Weights
    scores: Scores
    share: float = 1.0


def _candidate(
    start: Weights,
    trained: Weights,
    *,
    score: Callable[[Weights], Scores],
    accept: Callable[[Scores], bool],
    report: Callable[[RetrainProgress], None],
) -> _Candidate:
    """Return the trained weights or, if they lose too much, the first acceptable average with the parent's.

    If no average is acceptable either, the trained weights are returned.
    """
    whole = averaged = _Candidate(trained, score(trained))
    while not accept(averaged.scores):
        if averaged.share <= SMALLEST_SHARE:
            return whole
        report(
            RetrainProgress("judging", "too much Dice was lost: evaluating weights halfway back to the current model")
        )
        weights = average_weights(start, averaged.weights)
        averaged = _Candidate(weights, score(weights), averaged.share / 2)
    return averaged


def _record(config: RetrainConfig, result: FitResult, seconds: float) -> dict[str, Any]:
    return {
        "config": config.model_dump(mode="json"),
        "replay_seeds": list(range(REPLAY_SEED, REPLAY_SEED + config.replay)),
        "epochs": result.epochs,
        "batch_size": result.batch_size,
        "history": result.history,
        "seconds": round(seconds, 1),
    }


def _training_message(progress: FitProgress) -> str:
    if progress.epoch >= progress.total_epochs:
        return f"trained {progress.epoch} epochs"
    return f"epoch {progress.epoch + 1} of {progress.total_epochs}, step {progress.step} of {progress.steps}"


def _case_counter(report: Callable[[RetrainProgress], None], message: str) -> Callable[[], None]:
    """Return a function that reports one more evaluated case each time it is called."""
    done = itertools.count(1)
    return lambda: report(RetrainProgress("judging", f"{message}: {next(done)} done"))
