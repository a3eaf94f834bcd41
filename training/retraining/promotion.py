"""The decision whether a candidate is promoted: it is compared with its parent on the same cases.

It is promoted if it is not worse than its parent, and if the parent is still the current version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.evaluation.metrics import mean_dice
from training.labels import REGIONS
from training.models.store import PROMOTED
from training.preparation.store import PreparedCase

#: Dice by region, one entry per case.
Scores = list[dict[str, float]]


@dataclass(frozen=True)
class Decision:
    """Whether a candidate is promoted, and one sentence that says why."""

    promoted: bool
    verdict: str


def not_worse(before: Scores, after: Scores, tolerance: float) -> bool:
    """Return whether the candidate's mean Dice over cases and regions is at least its parent's minus ``tolerance``."""
    return mean_dice(after) >= mean_dice(before) - tolerance


def decide(before: Scores, after: Scores, tolerance: float, *, parent: str, current: str) -> Decision:
    """Decide whether a candidate is promoted.

    Args:
        before: Scores of the parent.
        after: Scores of the candidate on the same cases.
        tolerance: See :func:`not_worse`.
        parent: Its id.
        current: The id of the current version, which may have changed during the training.
    """
    old, new = mean_dice(before), mean_dice(after)
    cases = "case" if len(before) == 1 else f"{len(before)} cases"
    numbers = f"mean Dice {new:.4f} against {old:.4f} of its parent on the same {cases}"
    if not not_worse(before, after, tolerance):
        return Decision(False, f"Not promoted: {numbers}, a loss of more than {tolerance:g}.")
    if current != parent:
        reason = f"{current} became the current model while this one was trained"
        return Decision(False, f"Not promoted: {reason}. It has {numbers}.")
    return Decision(True, f"{PROMOTED}: {numbers} (not worse by more than {tolerance:g}).")


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
