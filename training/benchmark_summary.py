"""From results per head to the numbers a model card keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from training.evaluation.calibration import WHERE, Calibration
from training.evaluation.result import LOW_DICE, CaseResult
from training.labels import REGIONS


def region_summary(results: Sequence[CaseResult], region: str) -> dict[str, Any]:
    """Return mean, median and more of one region over heads; ``mean_present`` is over those whose truth holds it."""
    scores = [result.dice[region] for result in results]
    present = [result.dice[region] for result in results if result.true_ml[region] > 0]
    return {
        "mean": rounded(np.mean(scores)),
        "median": rounded(np.median(scores)),
        "lowest": rounded(min(scores)),
        "low": sum(score < LOW_DICE for score in scores),
        "present": len(present),
        "mean_present": rounded(np.mean(present)) if present else None,
    }


def kind_summary(results: Sequence[CaseResult]) -> dict[str, Any]:
    """Return the mean Dice of the phantoms of one build."""
    means = {region: rounded(np.mean([result.dice[region] for result in results])) for region in REGIONS}
    return {"count": len(results), **means}


def low_case(result: CaseResult) -> dict[str, Any]:
    """Return what the card tells of a head whose whole tumor was found poorly."""
    dice = {region: rounded(value) for region, value in result.dice.items()}
    return {"case": result.case, "kind": result.kind, "dice": dice, "why": result.why}


def calibration_summary(calibration: Calibration) -> dict[str, Any]:
    """Return the calibration error and the reliability table for each part of the brain."""
    measured: dict[str, Any] = {}
    for where in WHERE:
        error = calibration.ece(where)
        table = [asdict(row) for row in calibration.bins(where) if row.voxels]
        for row in table:
            row.update({name: rounded(row[name]) for name in ("low", "high", "confidence", "accuracy")})
        measured[where] = {"ece": rounded(error) if error is not None else None, "bins": table}
    return measured


def scores_of(dice: Mapping[str, float], predicted_ml: Mapping[str, float]) -> dict[str, Any]:
    """Return Dice and volumes of the regions, rounded."""
    return {"dice": {region: rounded(dice[region]) for region in REGIONS}, "predicted_ml": by_region(predicted_ml)}


def by_region(volumes: Mapping[str, float]) -> dict[str, float]:
    """Return the volumes of the regions alone, rounded."""
    return {region: rounded(volumes[region]) for region in REGIONS}


def ends(seeds: Sequence[int]) -> list[int]:
    """Return the first and the last seed; empty if there is none."""
    return [seeds[0], seeds[-1]] if len(seeds) else []


def rounded(value: Any) -> float:
    """Return a number to four decimals, which is all a card keeps."""
    return round(float(value), 4)
