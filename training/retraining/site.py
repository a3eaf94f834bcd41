"""A version fitted to the scanners of a site: from unlabeled studies, with a share of the normalization recomputed.

Scanners and protocols differ in contrast, and batch normalization holds the statistics of the images of the training.
Statistics recomputed on the images of another source adapt a network to it without labels (Schneider et al. 2020,
arXiv:2006.16971; Nado et al. 2020, arXiv:2006.10963). All other weights stay those of the parent.

There is no label to judge by, so a fitted version is promoted only if the Dice to be expected of the studies
(:mod:`training.prediction.quality`) does not fall, and if phantoms that are never trained on keep theirs. That is a
weak judge (``docs/site.md``). A better one follows with the corrections: the next retraining compares the fitted
version with its parent on labels that neither has seen (:mod:`training.retraining.evidence`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from training.cases.case import Case
from training.errors import InputError
from training.evaluation.metrics import mean_dice
from training.fitting.compile import compile_model
from training.fitting.config import FitConfig
from training.fitting.score import predict, score
from training.models.store import PROMOTED, ModelCard, ModelStore, ModelVersion, SeenCase
from training.models.weights import Weights, get_weights
from training.prediction.postprocess import decide
from training.prediction.quality import ESTIMATE, expected_dice
from training.preparation.prepare_cases import prepare_unlabeled
from training.preparation.store import PREPARED_VOXEL_ML, PreparedCase, PreparedStore, prepare_phantoms
from training.retraining.corrections import EVALUATION_SEEDS
from training.retraining.promotion import Guard, Scores, check_guard, metrics_of
from training.retraining.retrain import RetrainProgress, RetrainResult

if TYPE_CHECKING:
    import keras

#: Fewer studies say more about their patients than about the scanners.
MIN_STUDIES = 3
#: ``split`` in a model card of a study whose images were seen, but no label.
UNLABELED = "unlabeled"


class SiteConfig(BaseModel):
    """Settings of a fit to a site.

    Attributes:
        share: Share of the statistics of batch normalization that is taken from the studies; the rest stays the
            parent's. ``docs/site.md`` has what was measured.
        max_studies: Studies that are used at most, chosen by a hash of their ids.
        judge_phantoms: Phantoms on which the fitted version must keep its Dice.
        tolerance: Median loss of mean Dice on them up to which nothing counts as forgotten.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(0.2, gt=0, le=1)
    max_studies: int = Field(24, ge=MIN_STUDIES, le=1000)
    judge_phantoms: int = Field(4, ge=1, le=len(EVALUATION_SEEDS))
    tolerance: float = Field(0.01, ge=0, le=1)


@dataclass(frozen=True)
class SiteFit:
    """A fitted network.

    Attributes:
        weights: Its weights; only the statistics of batch normalization differ from the parent's.
        card: Its card; the verdict is one sentence with the numbers.
        refusal: Why it should not be used; empty if nothing speaks against it.
        skipped: Id and error message of studies that could not be read.
    """

    weights: Weights
    card: ModelCard
    refusal: str = ""
    skipped: dict[str, str] = field(default_factory=dict)


def check_studies(count: int) -> None:
    """Check that there are enough studies to fit to.

    Raises:
        InputError: If there are fewer than :data:`MIN_STUDIES`.
    """
    if count < MIN_STUDIES:
        found = "1 study" if count == 1 else f"{count} studies"
        raise InputError(
            f"Fitting to a site's scanners needs at least {MIN_STUDIES} usable studies; there are {found}. Fewer say "
            "more about their patients than about the scanners. Add studies; they need no labels.",
            field="cases",
        )


def fit_and_promote(
    store: ModelStore,
    cases: Sequence[Case],
    *,
    config: SiteConfig,
    work_dir: Path,
    on_progress: Callable[[RetrainProgress], None] = lambda progress: None,
) -> RetrainResult:
    """Fit the current version, store the result, and promote it unless :func:`refusal_of` speaks against it.

    Args:
        store: Model store; the new version is added to it.
        cases: See :func:`fit_site`.
        config: Settings.
        work_dir: See :func:`fit_site`.
        on_progress: Called before every step.

    Raises:
        InputError: See :func:`fit_site`.
    """
    parent = store.current()
    fitted = fit_site(parent, cases, config=config, work_dir=work_dir, on_progress=on_progress)
    reason, current = fitted.refusal, store.current().id
    if not reason and current != parent.id:
        reason = f"{current} became the current model while this one was fitted"
    verdict = f"Not promoted: {reason}. {fitted.card.verdict}" if reason else f"{PROMOTED}. {fitted.card.verdict}"
    version = store.add(fitted.weights, fitted.card.model_copy(update={"verdict": verdict}))
    if not reason:
        store.promote(version.id, verdict)
    return RetrainResult(version, not reason, verdict, fitted.skipped)


def fit_site(
    parent: ModelVersion,
    cases: Sequence[Case],
    *,
    config: SiteConfig,
    work_dir: Path,
    on_progress: Callable[[RetrainProgress], None] = lambda progress: None,
) -> SiteFit:
    """Fit a version to unlabeled studies, and judge the result; nothing is stored among the versions.

    Args:
        parent: The version to start from.
        cases: The studies; labels that some have are not read.
        config: Settings.
        work_dir: Folder for prepared studies and phantoms; kept between calls.
        on_progress: Called before every step.

    Raises:
        InputError: If fewer than :data:`MIN_STUDIES` can be used, or the parent's weights are damaged.
    """
    from training.network.batch_norm import recompute_statistics

    check_studies(len(cases))
    started = time.perf_counter()
    chosen = sorted(_chosen(cases, config.max_studies), key=lambda case: case.id)
    studies, skipped = _prepare(chosen, work_dir / "studies", parent.card.network.stride, on_progress)
    _check_usable(len(studies), skipped)
    on_progress(RetrainProgress("preparing", "generating phantoms", skipped=skipped))
    phantoms = prepare_phantoms(
        PreparedStore(work_dir / "phantoms"),
        EVALUATION_SEEDS[: config.judge_phantoms],
        on_progress=lambda done, total: on_progress(
            RetrainProgress("preparing", f"generated phantom {done} of {total}")
        ),
    )
    network = compile_model(FitConfig(), parent.card.network, parent.load_weights())
    before = _judged(network, studies, phantoms, f"the current model, {parent.id},", on_progress)
    recompute_statistics(network, _images(studies, on_progress), share=config.share)
    after = _judged(network, studies, phantoms, "the fitted model", on_progress)
    expected = before.expected, after.expected
    guard = check_guard([case.id for case in phantoms], before.phantoms, after.phantoms, config.tolerance)
    used = [case for case in chosen if case.id not in skipped]
    card = ModelCard(
        parent=parent.id,
        description=f"Fitted to {len(used)} unlabeled studies from {parent.id}: their images were seen, no label",
        network=parent.card.network,
        data=[SeenCase(case=case.id, patient=case.patient, label_sha256="", split=UNLABELED) for case in used],
        training={
            "config": config.model_dump(mode="json"),
            "seconds": round(time.perf_counter() - started, 1),
            "skipped": sorted(skipped),
        },
        metrics={
            "expected": {"estimate": ESTIMATE, **metrics_of(studies, *expected)},
            "phantoms": metrics_of(phantoms, before.phantoms, after.phantoms),
            "guard": guard.to_json(),
        },
        verdict=numbers_of(*expected, guard),
        attribution=parent.card.attribution,
    )
    return SiteFit(get_weights(network), card, refusal_of(*expected, guard), skipped)


def refusal_of(before: Scores, after: Scores, guard: Guard) -> str:
    """Return why a fitted version should not replace its parent; empty if nothing speaks against it.

    Args:
        before: Expected Dice of the studies with the parent.
        after: The same with the fitted version.
        guard: The comparison on phantoms.
    """
    reasons = []
    if mean_dice(after) < mean_dice(before):
        reasons.append(f"the expected Dice of the {len(before)} studies fell")
    if not guard.passed:
        reasons.append("too much was forgotten")
    return " and ".join(reasons)


def numbers_of(before: Scores, after: Scores, guard: Guard) -> str:
    """Return the numbers of a fitted version beside those of its parent, as sentences; see :func:`refusal_of`."""
    phantoms = f"{guard.numbers[:1].upper()}{guard.numbers[1:]}"
    return (
        f"Expected Dice of {len(before)} studies {mean_dice(after):.4f}, that of the parent {mean_dice(before):.4f}. "
        f"{phantoms}. No label was used, so the true Dice of the studies is not known."
    )


@dataclass(frozen=True)
class _Judged:
    """Dice of each phantom, and expected Dice of each study."""

    phantoms: Scores
    expected: Scores


def _chosen(cases: Sequence[Case], most: int) -> list[Case]:
    """Return at most so many cases: always the same ones for the same ids, and of no particular part of the list."""
    return sorted(cases, key=lambda case: hashlib.sha256(case.id.encode()).hexdigest())[:most]


def _prepare(
    cases: Sequence[Case], folder: Path, stride: int, on_progress: Callable[[RetrainProgress], None]
) -> tuple[list[PreparedCase], dict[str, str]]:
    """Return the prepared studies, and id and message of those that cannot be read; delete those of other cases."""
    store = PreparedStore(folder)
    for old in set(store.ids()) - {case.id for case in cases}:
        store.remove(old)
    studies, skipped = list[PreparedCase](), dict[str, str]()
    for number, case in enumerate(cases, start=1):
        on_progress(RetrainProgress("preparing", f"reading study {number} of {len(cases)}"))
        try:
            studies.append(prepare_unlabeled(case, store, stride=stride))
        except InputError as error:
            skipped[case.id] = error.message
    return studies, skipped


def _check_usable(count: int, skipped: dict[str, str]) -> None:
    try:
        check_studies(count)
    except InputError as error:
        reasons = "".join(f" Not usable: {why}" for why in skipped.values())
        raise InputError(f"{error.message}{reasons}", field=error.field) from error


def _images(studies: Sequence[PreparedCase], on_progress: Callable[[RetrainProgress], None]) -> Iterator[np.ndarray]:
    for number, study in enumerate(studies, start=1):
        message = f"recomputing normalization on study {number} of {len(studies)}"
        on_progress(RetrainProgress("preparing", message))
        yield np.asarray(study.image(), np.float32)


def _judged(
    network: keras.Model,
    studies: Sequence[PreparedCase],
    phantoms: Sequence[PreparedCase],
    name: str,
    on_progress: Callable[[RetrainProgress], None],
) -> _Judged:
    total = len(studies) + len(phantoms)
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        on_progress(RetrainProgress("judging", f"evaluating {name} on case {min(done, total)} of {total}"))

    tell()
    on_phantoms = score(network, phantoms, tell)
    expected: Scores = []
    for study in studies:
        expected.append(_expected(network, study))
        tell()
    return _Judged(on_phantoms, expected)


def _expected(network: keras.Model, study: PreparedCase) -> dict[str, float]:
    """Return the expected Dice of a study."""
    probabilities, brain = predict(network, study)
    labels = decide(probabilities, brain, voxel_ml=PREPARED_VOXEL_ML)
    return expected_dice(probabilities, labels, brain, voxel_ml=PREPARED_VOXEL_ML)
