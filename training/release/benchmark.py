"""The benchmark of a model card: phantoms, heads without tumor, labeled cases, and missing modalities.

Each part is a function that returns JSON-ready data. The phantoms are never used in training
(:mod:`training.phantoms.fixed_seeds`); labeled cases are chosen by the caller. Dice is computed on the grid of the
truth, with the conventions of :mod:`training.evaluation.metrics` for empty regions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from training import __version__
from training.cases.case import Case
from training.clock import now
from training.evaluation.calibration import BRAIN_PARTS, Calibration
from training.evaluation.evaluate import compare, evaluate_subject
from training.evaluation.metrics import region_dice
from training.evaluation.result import LOW_DICE, CaseResult
from training.evaluation.subjects import Subject, phantom_subjects, subject_of_case
from training.labels import REGIONS
from training.modalities import ROLES
from training.phantoms.fixed_seeds import DISTRACTOR_SEEDS, FIXED_SEEDS, HEALTHY_SEEDS
from training.phantoms.generate import GENERATOR_VERSION
from training.prediction import postprocess
from training.prediction.segmenter import Segmenter
from training.preparation.prepare import Prepared, matching_role

#: Largest acceptable volume of tumor in the segmentation of a head without tumor.
TUMOR_FREE_BAR_ML = 0.3

#: Called with a description of each segmentation that is done.
Done = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """The size of a benchmark.

    Attributes:
        phantoms: Number of evaluation phantoms.
        heads: Number of heads without tumor, and as many with all distractors.
        cases: Labeled cases.
        mirrored: Whether to evaluate predictions averaged over left-right mirror images as well.
    """

    phantoms: int = len(FIXED_SEEDS)
    heads: int = len(HEALTHY_SEEDS)
    cases: Sequence[Case] = ()
    mirrored: bool = False

    @property
    def steps(self) -> int:
        """Number of segmentations."""
        with_truth = (self.phantoms + len(self.cases)) * (2 if self.mirrored else 1)
        return with_truth + 2 * self.heads + len(ROLES) * len(self.cases)


def run_benchmark(
    segmenter: Segmenter,
    plan: Plan,
    *,
    mirrored: Segmenter | None = None,
    workers: int | None = None,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Run the benchmark.

    Args:
        segmenter: The model.
        plan: Size of the benchmark.
        mirrored: The same model with ``mirror=True``, required if the plan compares the two.
        workers: Processes that generate phantoms; ``None`` for one per core.
        on_progress: Called with segmentations done, their total, and a description of the last one.

    Returns:
        The value of ``"benchmark"`` in :attr:`training.models.store.ModelCard.metrics`.

    Raises:
        InputError: If a labeled case cannot be read.
    """
    steps = 0

    def done(what: str) -> None:
        nonlocal steps
        steps += 1
        if on_progress is not None:
            on_progress(steps, plan.steps, what)

    second = mirrored if plan.mirrored else None
    # Cases come first: an unusable one must not discard an hour of phantoms.
    on_cases = measure_cases(segmenter, plan.cases, mirrored=second, done=done)
    missing = measure_missing_modalities(segmenter, plan.cases, done=done)
    return {
        **_provenance(segmenter),
        "phantoms": measure_phantoms(
            segmenter, FIXED_SEEDS[: plan.phantoms], mirrored=second, workers=workers, done=done
        ),
        "tumor_free": measure_tumor_free(segmenter, HEALTHY_SEEDS[: plan.heads], "some", workers=workers, done=done),
        "every_distractor": measure_tumor_free(
            segmenter, DISTRACTOR_SEEDS[: plan.heads], "all", workers=workers, done=done
        ),
        "cases": on_cases,
        "missing": missing,
    }


def measure_phantoms(
    segmenter: Segmenter,
    seeds: Sequence[int],
    *,
    mirrored: Segmenter | None = None,
    workers: int | None = None,
    done: Done = lambda what: None,
) -> dict[str, Any]:
    """Measure calibration, and Dice by region and by kind of tumor, on phantoms (a few of which are healthy).

    Args:
        segmenter: The model.
        seeds: Seeds of whole heads.
        mirrored: The same model with ``mirror=True``, for comparison.
        workers: Processes that generate the phantoms.
        done: Called after each head and model.
    """
    calibration = Calibration()
    results: list[CaseResult] = []
    others: list[CaseResult] = []
    for subject in phantom_subjects(seeds, workers=workers):
        results.append(_evaluate_with_calibration(segmenter, subject, calibration))
        done(subject.id)
        if mirrored is not None:
            others.append(evaluate_subject(subject, mirrored)[1])
            done(f"{subject.id}, mirrored")
    results.sort(key=lambda result: result.case)
    kinds = sorted({result.kind for result in results})
    measured = {
        "seeds": _first_and_last(seeds),
        "count": len(results),
        "regions": {region: _region_summary(results, region) for region in REGIONS} if results else {},
        "kinds": {kind: _kind_summary([result for result in results if result.kind == kind]) for kind in kinds},
        "low": [_low_case(result) for result in results if result.why],
        "calibration": _calibration_summary(calibration),
    }
    if mirrored is not None and others:
        measured["mirrored"] = {region: _region_summary(others, region) for region in REGIONS}
    return measured


def measure_tumor_free(
    segmenter: Segmenter,
    seeds: Sequence[int],
    distractors: Literal["some", "all"],
    *,
    workers: int | None = None,
    done: Done = lambda what: None,
) -> dict[str, Any]:
    """Measure false-positive tumor volume in heads without tumor, in mL per head.

    Args:
        segmenter: The model.
        seeds: Seeds of heads generated without tumor.
        distractors: ``"all"`` adds every kind of structure that resembles tumor.
        workers: Processes that generate the phantoms.
        done: Called after each head.
    """
    found: dict[str, float] = {}
    for subject in phantom_subjects(seeds, tumor=False, distractors=distractors, workers=workers):
        found[subject.id] = segmenter.segment(subject.volumes).volumes_ml["WT"]
        done(f"{subject.id}, no tumor")
    volumes = [found[name] for name in sorted(found)]
    return {
        "seeds": _first_and_last(seeds),
        "count": len(volumes),
        "bar_ml": TUMOR_FREE_BAR_ML,
        "mean_ml": _rounded(np.mean(volumes)) if volumes else None,
        "max_ml": _rounded(max(volumes)) if volumes else None,
        "over_bar": sum(volume > TUMOR_FREE_BAR_ML for volume in volumes),
        "heads_ml": [_rounded(volume) for volume in volumes],
    }


def measure_cases(
    segmenter: Segmenter, cases: Sequence[Case], *, mirrored: Segmenter | None = None, done: Done = lambda what: None
) -> list[dict[str, Any]]:
    """Measure Dice and volumes on labeled cases.

    Raises:
        InputError: If a case cannot be read, or its label lies on none of its volumes' grids.
    """
    rows = []
    for case in cases:
        subject = subject_of_case(case)
        result = evaluate_subject(subject, segmenter)[1]
        done(case.id)
        row = {"case": case.id, **_scores_of(result.dice, result.predicted_ml)}
        row["true_ml"] = _by_region(result.true_ml)
        row["hd95_mm"] = result.hd95
        if mirrored is not None:
            other = evaluate_subject(subject, mirrored)[1]
            row["mirrored"] = _scores_of(other.dice, other.predicted_ml)
            done(f"{case.id}, mirrored")
        rows.append(row)
    return rows


def measure_missing_modalities(
    segmenter: Segmenter, cases: Sequence[Case], *, done: Done = lambda what: None
) -> list[dict[str, Any]]:
    """Measure labeled cases with each single modality left out.

    Raises:
        InputError: If a case cannot be read, or its label lies only on the grid of the modality left out.
    """
    rows = []
    for case in cases:
        subject = subject_of_case(case)
        for absent in ROLES:
            volumes = {role: volume for role, volume in subject.volumes.items() if role != absent}
            reference = matching_role(subject.truth.grid, volumes)
            answer = segmenter.segment(volumes, reference=reference, allow_missing=True)
            scores = region_dice(answer.labelmap.data, subject.truth.data)
            rows.append({"case": case.id, "missing": absent, **_scores_of(scores, answer.volumes_ml)})
            done(f"{case.id} without {absent}")
    return rows


def _provenance(segmenter: Segmenter) -> dict[str, Any]:
    version = segmenter.version
    return {
        "date": now(),
        "code_version": __version__,
        "generator_version": GENERATOR_VERSION,
        "model": version.id,
        "weights_sha256": version.weights_sha256(),
        "parameters": sum(int(array.size) for array in version.load_weights().values()),
        "mirror": segmenter.mirror,
        "postprocessing": postprocess.settings(),
    }


def _evaluate_with_calibration(segmenter: Segmenter, subject: Subject, calibration: Calibration) -> CaseResult:
    """Segment and evaluate a head, and add its probabilities to the calibration."""
    started = time.perf_counter()
    reference = matching_role(subject.truth.grid, subject.volumes)

    def add_to_calibration(probabilities: np.ndarray, prepared: Prepared) -> None:
        truth = prepared.frame.to_working(subject.truth)
        calibration.add(probabilities, truth, prepared.brain, spacing_mm=prepared.frame.working.spacing)

    answer = segmenter.segment(subject.volumes, reference=reference, on_probabilities=add_to_calibration)
    return compare(subject, answer, reference=reference, seconds=time.perf_counter() - started)


def _region_summary(results: Sequence[CaseResult], region: str) -> dict[str, Any]:
    """Return Dice statistics of one region; ``mean_present`` covers only heads whose truth holds the region."""
    scores = [result.dice[region] for result in results]
    present = [result.dice[region] for result in results if result.true_ml[region] > 0]
    return {
        "mean": _rounded(np.mean(scores)),
        "median": _rounded(np.median(scores)),
        "lowest": _rounded(min(scores)),
        "low": sum(score < LOW_DICE for score in scores),
        "present": len(present),
        "mean_present": _rounded(np.mean(present)) if present else None,
    }


def _kind_summary(results: Sequence[CaseResult]) -> dict[str, Any]:
    """Return the mean Dice of the phantoms with one kind of tumor."""
    means = {region: _rounded(np.mean([result.dice[region] for result in results])) for region in REGIONS}
    return {"count": len(results), **means}


def _low_case(result: CaseResult) -> dict[str, Any]:
    """Return the entry of a poorly segmented head."""
    dice = {region: _rounded(value) for region, value in result.dice.items()}
    return {"case": result.case, "kind": result.kind, "dice": dice, "why": result.why}


def _calibration_summary(calibration: Calibration) -> dict[str, Any]:
    """Return the calibration error and the reliability table for each part of the brain."""
    measured: dict[str, Any] = {}
    for where in BRAIN_PARTS:
        error = calibration.ece(where)
        table = [asdict(row) for row in calibration.bins(where) if row.voxels]
        for row in table:
            row.update({name: _rounded(row[name]) for name in ("low", "high", "confidence", "accuracy")})
        measured[where] = {"ece": _rounded(error) if error is not None else None, "bins": table}
    return measured


def _scores_of(dice: Mapping[str, float], predicted_ml: Mapping[str, float]) -> dict[str, Any]:
    """Return Dice and volumes of the regions, rounded."""
    return {"dice": {region: _rounded(dice[region]) for region in REGIONS}, "predicted_ml": _by_region(predicted_ml)}


def _by_region(volumes: Mapping[str, float]) -> dict[str, float]:
    """Return the volumes of the regions, rounded."""
    return {region: _rounded(volumes[region]) for region in REGIONS}


def _first_and_last(seeds: Sequence[int]) -> list[int]:
    """Return the first and the last seed; empty if there are none."""
    return [seeds[0], seeds[-1]] if len(seeds) else []


def _rounded(value: Any) -> float:
    """Round to four decimals, the precision of a card."""
    return round(float(value), 4)
