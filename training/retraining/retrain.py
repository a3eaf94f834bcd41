"""Retraining: a new model version is trained from the current one on corrections, judged, and promoted or not.

The corrected cases are mixed with replayed phantoms of fixed seeds to prevent forgetting. Before the training, the
current version is compared with its parent on cases that neither has seen (:mod:`.evidence`). Afterwards parent and
candidate are compared on exactly the same cases: the patients held out for validation, who decide once there are enough
of them, and phantoms that are never used in training, which guard against forgetting (:mod:`.promotion`). If too much
is forgotten, weights halfway and then a quarter of the way from the parent to the candidate are tried. They are not
tried where the patients speak against the candidate: the best of several on the same few patients would often be luck.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.fitting.config import FitProgress, FitResult
from training.models.store import ModelCard, ModelStore, ModelVersion
from training.retraining.config import RetrainConfig
from training.retraining.corrections import DERIVED, REPLAY_SEED, Correction, check_corrections
from training.retraining.evidence import check_current, forget_folds
from training.retraining.fine_tune import fine_tune
from training.retraining.judge import Judge
from training.retraining.promotion import NOT_JUDGED, decide


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
    """The outcome.

    Attributes:
        version: The new version; its card has the numbers.
        promoted: Whether it is current now.
        verdict: Why, or why not.
        skipped: Id and error message of labeled cases that cannot be read.
        outcome: ``better``, ``equal``, ``worse`` or ``not judged`` on patients, against its parent.
    """

    version: ModelVersion
    promoted: bool
    verdict: str
    skipped: dict[str, str] = field(default_factory=dict)
    outcome: str = NOT_JUDGED


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
    """Train a candidate from the current version, compare the two, store it, and promote it unless that is refused.

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
    mixture = config.mixture(store.current().card.network.stride)
    cases = mixture.prepare(corrections, work_dir, lambda message: report(RetrainProgress("preparing", message)))
    learned = [correction for correction in corrections if correction.case.id not in cases.skipped]
    report(RetrainProgress("judging", "evaluating", skipped=cases.skipped))
    judging = _step_counter(report)
    check = check_current(store, learned, cases, config, judging)
    parent = check.start
    if parent.id != check.current.id:
        report(RetrainProgress("judging", check.sentence, note=check.sentence))
    origin = store.origin(parent)
    judge = Judge(parent, cases, learned, config, judging, origin if origin.id != parent.id else None)
    judge.score_parent()
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
    candidate = judge.score_candidate(result.weights)
    comparison = judge.compare(candidate, work_dir, should_stop or (lambda: False))
    pictures = judge.draw(candidate)
    current = store.current().id
    decision = decide(comparison, candidate.guard, parent=parent.id, replaced=check.current.id, current=current)
    still_worse = not decision.promoted and current == check.current.id
    verdict = f"{decision.verdict} {check.sentence}{check.way_back if still_worse else ''}".strip()
    training = {
        **_record(config, result, time.perf_counter() - started),
        "share_of_the_way": candidate.share,
        "skipped": sorted(cases.skipped),
    }
    metrics = {**judge.metrics(candidate, comparison), **check.to_json(), "pictures": pictures.about}
    card = _card(parent, learned, training=training, metrics=metrics, verdict=verdict)
    version = store.add(candidate.weights, card, pictures.files)
    (work_dir / "checkpoint.npz").unlink(missing_ok=True)  # the next training starts from scratch
    shutil.rmtree(work_dir / DERIVED, ignore_errors=True)  # 30 MB a head, made in seconds
    forget_folds(work_dir)
    if decision.promoted:
        store.promote(version.id, verdict)
    return RetrainResult(version, decision.promoted, verdict, cases.skipped, comparison.outcome)


def _card(
    parent: ModelVersion,
    learned: Sequence[Correction],
    *,
    training: dict[str, Any],
    metrics: dict[str, Any],
    verdict: str,
) -> ModelCard:
    count = sum(correction.split == "train" for correction in learned)
    return ModelCard(
        parent=parent.id,
        description=f"Retrained from {parent.id} on {count} corrected cases",
        network=parent.card.network,
        data=[correction.seen() for correction in learned],
        attribution=parent.card.attribution,
        training=training,
        metrics=metrics,
        verdict=verdict,
    )


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


def _step_counter(report: Callable[[RetrainProgress], None]) -> Callable[[str], None]:
    """Return a function that reports a message, with the number of times it came in a row."""
    last, count = "", 0

    def say(message: str) -> None:
        nonlocal last, count
        last, count = message, count + 1 if message == last else 0
        report(RetrainProgress("judging", f"{message}: {count} done" if count else message))

    return say
