"""The decision whether a candidate is promoted: it is compared with its parent on the same cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.evaluation.metrics import mean_dice
from training.labels import REGIONS
from training.models.store import PROMOTED
from training.preparation.store import PreparedCase

#: Dice by region, one entry per case.
Scores = list[dict[str, float]]


def not_worse(before: Scores, after: Scores, tolerance: float) -> bool:
    """Return whether the candidate's mean Dice over cases and regions is at least its parent's minus ``tolerance``."""
    return mean_dice(after) >= mean_dice(before) - tolerance


def verdict_of(before: Scores, after: Scores, tolerance: float, moved_to: str | None = None) -> str:
    """Return one sentence that says whether a candidate is promoted, and why.

    Args:
        before: Scores of the parent.
        after: Scores of the candidate on the same cases.
        tolerance: See :func:`not_worse`.
        moved_to: The current version, if it is no longer the parent.
    """
    old, new = mean_dice(before), mean_dice(after)
    cases = "case" if len(before) == 1 else f"{len(before)} cases"
    numbers = f"mean Dice {new:.4f} against {old:.4f} of its parent on the same {cases}"
    if not not_worse(before, after, tolerance):
        return f"Not promoted: {numbers}, a loss of more than {tolerance:g}."
    if moved_to is not None:
        return f"Not promoted: {moved_to} became the current model while this one was trained. It has {numbers}."
    return f"{PROMOTED}: {numbers} (not worse by more than {tolerance:g})."


def metrics_of(cases: Sequence[PreparedCase], before: Scores, after: Scores) -> dict[str, Any]:
    """Return the metrics for the model card: means and all cases, of parent and candidate."""

    def rounded(scores: dict[str, float]) -> dict[str, float]:
        return {region: round(value, 5) for region, value in scores.items()}

    def means(scores: Scores) -> dict[str, float]:
        by_region = {region: float(np.mean([case[region] for case in scores])) for region in REGIONS}
        return rounded({**by_region, "mean": mean_dice(scores)})

    per_case = {
        case.id: {"parent": rounded(old), "candidate": rounded(new)}
        for case, old, new in zip(cases, before, after, strict=True)
    }
    return {"parent": means(before), "candidate": means(after), "cases": per_case}
