"""Learning from corrections: a new model version from the current one, promoted if it is not worse.

The corrected cases are mixed with replayed phantoms of fixed seeds, so that the network does not forget what it
knew. Parent and candidate are judged on exactly the same cases: the labeled patients that the split keeps for
validation and, while there are few of them, phantoms that no training sees. "Not worse" means: the mean Dice over
cases and regions is at least the parent's minus a stated tolerance. A candidate that lost more is given two more
chances, halfway and then a quarter of the way from its parent's weights to its own.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from training.errors import InputError
from training.fitting.checkpoint import load_state
from training.fitting.config import FitConfig, FitProgress, FitResult
from training.fitting.fit import fit
from training.models.store import ModelCard, ModelStore, ModelVersion
from training.models.weights import Weights, average_weights
from training.retraining.corrections import JUDGE_SEEDS, REPLAY_SEED, Correction, Mixture, check_corrections
from training.retraining.judge import Scores, metrics_of, not_worse, scores_of, verdict_of

#: A candidate that forgot too much is not taken back nearer to its parent than this share of the way.
SMALLEST_SHARE = 0.25


class RetrainConfig(BaseModel):
    """Settings of a retraining. The defaults are for two CPU cores and a few minutes.

    Attributes:
        max_epochs: Epochs to run at most.
        steps_per_epoch: Batches per epoch.
        batch_size: Patches per batch.
        patch: Side of a patch in voxels.
        learning_rate: Peak of the schedule.
        replay: Number of phantoms mixed in.
        replay_share: Share of the patches that come from phantoms.
        judge_phantoms: Phantoms to judge on while there are fewer than ``enough_validation`` labeled cases for it.
        enough_validation: So many labeled validation cases do without phantoms.
        tolerance: How much mean Dice a candidate may lose and still count as not worse.
        early_stop_patience: Epochs without a better validation before stopping; 0 never stops early.
        validate_every: Epochs between two validations.
        freeze_normalization: Keep the batch normalization as it is; see
        :func:`training.network.unet.freeze_normalization`.
        workers: Threads that prepare batches.
        seed: Of patches and augmentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_epochs: int = Field(3, ge=1, le=1000)
    steps_per_epoch: int = Field(15, ge=1, le=10_000)
    batch_size: int = Field(2, ge=1, le=16)
    patch: int = Field(96, ge=16, le=256)
    learning_rate: float = Field(3e-5, gt=0, le=0.1)
    replay: int = Field(8, ge=0, le=1000)
    replay_share: float = Field(0.5, ge=0, lt=1)
    judge_phantoms: int = Field(4, ge=1, le=len(JUDGE_SEEDS))
    enough_validation: int = Field(5, ge=1, le=100)
    tolerance: float = Field(0.01, ge=0, le=1)
    early_stop_patience: int = Field(0, ge=0, le=1000)
    validate_every: int = Field(1, ge=1, le=1000)
    freeze_normalization: bool = True
    workers: int = Field(1, ge=0, le=64)
    seed: int = Field(0, ge=0)

    def fit_config(self) -> FitConfig:
        """Return the settings of the training proper."""
        shared = self.model_dump(include=set(FitConfig.model_fields) - {"patch"})
        return FitConfig(patch=(self.patch,) * 3, **shared)

    def mixture(self, stride: int) -> Mixture:
        """Return how corrections and phantoms are mixed."""
        return Mixture(self.replay, self.replay_share, self.judge_phantoms, self.enough_validation, stride)


@dataclass(frozen=True)
class RetrainProgress:
    """Where a retraining stands.

    Attributes:
        state: ``preparing``, ``training`` or ``judging``.
        message: For people.
        fit: The training's numbers, while it runs.
        skipped: Labeled cases that cannot be read and are left out, by id, and why.
        note: A sentence on something that happened and should be remembered.
    """

    state: str
    message: str
    fit: FitProgress | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class RetrainResult:
    """The outcome: the new version, whether it is served now, and why; and which cases had to be left out, and why."""

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
    """Train a candidate from the current version, judge both, store it, and promote it if it is not worse.

    A kill at any moment leaves the store as it was; the same call goes on from the last finished epoch.

    Args:
        store: Where the current version comes from and the new one goes to.
        corrections: Labeled cases, with their split.
        config: Settings.
        work_dir: For prepared cases, phantoms and the checkpoint; kept between calls.
        batch_size: Patches per batch to begin with, where memory is known to be too short for those of ``config``.
        on_progress: Told after every step.
        should_stop: Asked after every step; ``True`` ends the training with what was reached.

    Raises:
        InputError: If there is nothing to train on, or no label of the training part can be used.
    """
    check_corrections(corrections)
    tell = on_progress or (lambda progress: None)
    started = time.perf_counter()
    parent = store.current()
    network = parent.card.network
    start = parent.load_weights()
    settings = config.fit_config()
    mixture = config.mixture(network.stride)
    cases = mixture.prepare(corrections, work_dir, lambda message: tell(RetrainProgress("preparing", message)))
    learned = [correction for correction in corrections if correction.case.id not in cases.skipped]
    message = f"judging {parent.id}, the present model, on {len(cases.judge)} cases"
    tell(RetrainProgress("judging", message, skipped=cases.skipped))
    before = scores_of(start, network, settings, cases.judge, _case_counter(tell, message))
    _set_aside_damaged(work_dir / "checkpoint.npz", tell)
    result = fit(
        settings,
        network,
        cases.train,
        cases.judge,
        work_dir=work_dir,
        start=start,
        sampling=cases.sampling,
        batch_size=batch_size,
        on_smaller_batch=lambda batch: tell(_smaller_batches(batch)),
        on_progress=lambda now: tell(RetrainProgress("training", _training_message(now), now)),
        should_stop=should_stop,
    )
    message = f"judging the new model on {len(cases.judge)} cases"
    tell(RetrainProgress("judging", message))
    candidate = _candidate(
        start,
        result.weights,
        score=lambda weights: scores_of(weights, network, settings, cases.judge, _case_counter(tell, message)),
        accept=lambda scores: not_worse(before, scores, config.tolerance),
        tell=tell,
    )
    after = candidate.scores
    served = store.current().id  # somebody may have rolled back or promoted while this training ran
    verdict = verdict_of(before, after, config.tolerance, served if served != parent.id else None)
    card = ModelCard(
        parent=parent.id,
        description=f"Retrained from {parent.id} on {sum(c.split == 'train' for c in learned)} corrected cases",
        network=network,
        data=[correction.seen() for correction in learned],
        training={
            **_record(config, result, time.perf_counter() - started),
            "share_of_the_way": candidate.share,
            "skipped": sorted(cases.skipped),
        },
        metrics=metrics_of(cases.judge, before, after),
        verdict=verdict,
    )
    version = store.add(candidate.weights, card)
    (work_dir / "checkpoint.npz").unlink(missing_ok=True)  # this training is finished; the next one starts anew
    promoted = not_worse(before, after, config.tolerance) and served == parent.id
    if promoted:
        store.promote(version.id, verdict)
    return RetrainResult(version, promoted, verdict, cases.skipped)


@dataclass(frozen=True)
class _Candidate:
    """Weights, how they were judged, and what share of the way from the parent's to the trained ones they lie."""

    weights: Weights
    scores: Scores
    share: float = 1.0


def _candidate(
    start: Weights,
    trained: Weights,
    *,
    score: Callable[[Weights], Scores],
    accept: Callable[[Scores], bool],
    tell: Callable[[RetrainProgress], None],
) -> _Candidate:
    """Return what was trained or, if it forgot too much, the first acceptable step back.

    If no step back is acceptable either, what was trained is returned.
    """
    whole = milder = _Candidate(trained, score(trained))
    while not accept(milder.scores):
        if milder.share <= SMALLEST_SHARE:
            return whole
        tell(RetrainProgress("judging", "too much was forgotten: judging a step halfway back to the present model"))
        weights = average_weights(start, milder.weights)
        milder = _Candidate(weights, score(weights), milder.share / 2)
    return milder


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


def _smaller_batches(batch: int) -> RetrainProgress:
    note = f"Memory ran out; the training went on from its last epoch with {batch} patches per batch."
    return RetrainProgress("training", "memory ran out: going on with smaller batches", note=note)


def _case_counter(tell: Callable[[RetrainProgress], None], message: str) -> Callable[[], None]:
    """Return a function that tells, each time it is called, that one more case is judged."""
    done = itertools.count(1)
    return lambda: tell(RetrainProgress("judging", f"{message}: {next(done)} done"))


def _set_aside_damaged(checkpoint: Path, tell: Callable[[RetrainProgress], None]) -> None:
    """Move a checkpoint away that cannot be read: the training starts anew, rather than never again."""
    try:
        load_state(checkpoint)
    except InputError:
        os.replace(checkpoint, checkpoint.with_name("checkpoint-damaged.npz"))
        note = "The checkpoint of an earlier training was damaged and is set aside; the training started anew."
        tell(RetrainProgress("training", "starting anew", note=note))
