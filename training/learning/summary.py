"""The summary of a learning curve: means over orders and cases, with intervals.

Intervals are percentile bootstraps over cases, each with all its orders, so that a case that is unseen in several
orders does not count as several.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from training.labels import REGIONS
from training.learning.answers import CaseScore
from training.learning.stage import Stage

_RESAMPLES = 2000

#: Value by unit of resampling, such as a case: one for each order.
Samples = Mapping[str, Sequence[float]]
Key = TypeVar("Key")


def summarize(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Return one entry for each hospital and strategy, with a row for each number of corrected cases.

    Of each number, only the orders in which that stage is finished count; changes are against the same orders and cases
    before any correction.
    """
    lines = _grouped(stages, lambda stage: (stage.hospital, stage.strategy))
    return [
        {"hospital": hospital, "strategy": strategy, "rows": _rows(found)}
        for (hospital, strategy), found in lines.items()
    ]


def compare_strategies(stages: Sequence[Stage], baseline: str) -> list[dict[str, Any]]:
    """Compare each strategy with a baseline: the mean Dice of the unseen cases, over the numbers of corrected cases.

    The difference is that of the mean over all numbers above 0, the area under the curve; hospitals and orders that
    both finished are paired, and resampled for the interval.
    """
    areas: dict[str, dict[tuple[str, int], float]] = {}
    whole = {stage.corrected for stage in stages}
    if whole <= {0}:
        return []
    for (strategy, hospital, order), found in _grouped(stages, lambda s: (s.strategy, s.hospital, s.order)).items():
        if {stage.corrected for stage in found} == whole:
            means = [_mean(score.mean for score in stage.unseen) for stage in found if stage.corrected]
            areas.setdefault(strategy, {})[hospital, order] = _mean(means)
    rows = []
    for strategy, own in areas.items():
        pairs = sorted(set(own) & set(areas.get(baseline, {})))
        if strategy == baseline or not pairs:
            continue
        differences = {
            f"{hospital} {order}": [own[hospital, order] - areas[baseline][hospital, order]]
            for hospital, order in pairs
        }
        rows.append({"strategy": strategy, "baseline": baseline, "pairs": len(pairs), **interval(differences)})
    return rows


def interval(samples: Samples) -> dict[str, float | None]:
    """Return ``mean``, and ``low`` and ``high`` of its 95% interval (``None`` for a single unit)."""
    sums = np.array([np.sum(values) for values in samples.values()], np.float64)
    counts = np.array([len(values) for values in samples.values()], np.float64)
    mean = float(sums.sum() / counts.sum())
    if len(sums) < 2:
        return {"mean": round(mean, 5), "low": None, "high": None}
    drawn = np.random.default_rng(0).integers(len(sums), size=(_RESAMPLES, len(sums)))
    low, high = np.percentile(sums[drawn].sum(1) / counts[drawn].sum(1), [2.5, 97.5])
    return {"mean": round(mean, 5), "low": round(float(low), 5), "high": round(float(high), 5)}


def _rows(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    by_count = _grouped(sorted(stages, key=lambda stage: stage.corrected), lambda stage: stage.corrected)
    start = {stage.order: stage for stage in stages if stage.corrected == 0}
    rows: list[dict[str, Any]] = []
    for count, found in by_count.items():
        first = [start[stage.order] for stage in found]
        minutes = [stage.seconds / 60 for stage in found if stage.seconds is not None]
        editing = _mean(score.editing_seconds for stage in found for score in stage.unseen)
        editing_before = _mean(score.editing_seconds for stage in first for score in stage.unseen)
        rows.append(
            {
                "corrected": count,
                "orders": len(found),
                "dice": interval(_samples(found, _unseen)),
                "by_order": {
                    str(stage.order): round(_mean(score.mean for score in stage.unseen), 5) for stage in found
                },
                "regions": {
                    region: round(_mean(score.dice[region] for stage in found for score in stage.unseen), 5)
                    for region in REGIONS
                },
                "gain": interval(_changes(found, first, _unseen)),
                "others": _optional(_changes(found, first, lambda stage: stage.others)),
                "phantoms": _optional(_changes(found, first, lambda stage: stage.phantoms)),
                "editing_seconds": round(editing, 1),
                "editing_by_order": {
                    str(stage.order): round(_mean(score.editing_seconds for score in stage.unseen), 1)
                    for stage in found
                },
                "editing_change": round(editing / editing_before - 1, 4) if editing_before else None,
                "validation": round(_mean(stage.validation for stage in found), 2),
                "promoted": sum(bool(stage.promoted) for stage in found),
                "minutes": round(float(np.median(minutes)), 2) if minutes else None,
            }
        )
    for before, row in itertools.pairwise(rows):
        shared = set(before["by_order"]) & set(row["by_order"])
        row["step"] = round(_mean(row["by_order"][order] - before["by_order"][order] for order in shared), 5)
    return rows


def _unseen(stage: Stage) -> list[CaseScore]:
    return stage.unseen


def _samples(stages: Iterable[Stage], scores: Callable[[Stage], list[CaseScore]]) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {}
    for stage in stages:
        for score in scores(stage):
            samples.setdefault(score.case, []).append(score.mean)
    return samples


def _changes(
    stages: Sequence[Stage], first: Sequence[Stage], scores: Callable[[Stage], list[CaseScore]]
) -> dict[str, list[float]]:
    """Return the changes of the mean Dice against the first stage of the same order, by case."""
    after, before = _samples(stages, scores), _samples(first, scores)
    return {case: [new - old for new, old in zip(after[case], before[case], strict=True)] for case in after}


def _optional(samples: Samples) -> dict[str, float | None] | None:
    return interval(samples) if samples else None


def _grouped(stages: Iterable[Stage], key: Callable[[Stage], Key]) -> dict[Key, list[Stage]]:
    groups: dict[Key, list[Stage]] = {}
    for stage in stages:
        groups.setdefault(key(stage), []).append(stage)
    return groups


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
