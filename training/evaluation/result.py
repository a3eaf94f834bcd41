"""The results of an evaluation: per case, per region, and in total."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.labels import REGIONS

#: A case with a lower whole-tumor Dice gets a picture and an explanation.
LOW_DICE = 0.6

#: Dice (WT, TC, ET) published for this kind of network on BraTS 2020, trained and tested on patients.
REFERENCE_DICE: dict[str, float] = {"WT": 0.93, "TC": 0.90, "ET": 0.79}
REFERENCE_CAVEAT = (
    "published for this kind of network on BraTS 2020, trained and tested on patients; comparable only when both "
    "are taken on the same held-out patients"
)


@dataclass(frozen=True)
class CaseResult:
    """One evaluated case.

    Attributes:
        case: The case's id.
        patient: Its patient.
        dice: Dice of WT, TC, ET.
        label_dice: Dice of the single labels NCR, ED, ET.
        hd95: HD95 of WT, TC, ET in mm; ``None`` where it is undefined.
        predicted_ml: Predicted volumes by label name and region.
        true_ml: The same for the truth.
        seconds: Time from files on disk to a labelmap in memory.
        reference: The role on whose grid the two were compared.
        warnings: Warnings about the input.
        kind: Kind of tumor of a phantom; empty for a case.
        why: Explanation if the Dice of WT is below :data:`LOW_DICE`, else empty.
        labels: Label scheme of the truth, and what it was recognized by; empty if it is TumorLoop's own.
    """

    case: str
    patient: str
    dice: dict[str, float]
    label_dice: dict[str, float]
    hd95: dict[str, float | None]
    predicted_ml: dict[str, float]
    true_ml: dict[str, float]
    seconds: float
    reference: str
    warnings: tuple[str, ...] = ()
    kind: str = ""
    why: str = ""
    labels: str = ""

    @property
    def mean_dice(self) -> float:
        """Mean over WT, TC and ET."""
        return float(np.mean(list(self.dice.values())))


@dataclass(frozen=True)
class RegionSummary:
    """One row of the results table.

    Attributes:
        region: ``WT``, ``TC`` or ``ET``.
        mean_dice: Over all cases.
        median_dice: Over all cases.
        low: Number of cases below :data:`LOW_DICE`.
        best_dice: Dice of the best case.
        best_case: Id of the best case.
        mean_hd95: Over the cases where it is defined, in mm; ``None`` if there are none.
        undefined_hd95: Number of cases where it is undefined.
        absent: Number of cases whose truth does not hold the region.
    """

    region: str
    mean_dice: float
    median_dice: float
    low: int
    best_dice: float
    best_case: str
    mean_hd95: float | None
    undefined_hd95: int
    absent: int


@dataclass(frozen=True)
class EvaluationReport:
    """All results of an evaluation.

    Attributes:
        model_version: The evaluated version.
        cases: One result per case, in the given order.
        failures: Case id to message, for cases that could not be evaluated.
        files: Written files: ``csv``, ``json``, ``report``, and a picture per poorly segmented case.
        stopped: Whether Ctrl-C ended the evaluation before the last case.
    """

    model_version: str
    cases: tuple[CaseResult, ...]
    failures: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    stopped: bool = False

    def summary(self) -> list[RegionSummary]:
        """Return the results table, one row per region; empty if no case could be evaluated."""
        return [_summarize(region, self.cases) for region in REGIONS] if self.cases else []

    def best(self) -> CaseResult:
        """Return the case with the highest mean Dice."""
        return max(self.cases, key=lambda result: result.mean_dice)

    def worst(self) -> CaseResult:
        """Return the case with the lowest mean Dice."""
        return min(self.cases, key=lambda result: result.mean_dice)

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {
            "model_version": self.model_version,
            "reference_dice": {**REFERENCE_DICE, "caveat": REFERENCE_CAVEAT},
            "conventions": "Dice is 1 if both regions are empty, 0 if one is; HD95 is null if one is empty.",
            "summary": [asdict(row) for row in self.summary()],
            "cases": [asdict(result) for result in self.cases],
            "failures": self.failures,
            "stopped": self.stopped,
        }


def _summarize(region: str, results: Sequence[CaseResult]) -> RegionSummary:
    distances = [value for value in (result.hd95[region] for result in results) if value is not None]
    best = max(results, key=lambda result: result.dice[region])
    return RegionSummary(
        region=region,
        mean_dice=float(np.mean([result.dice[region] for result in results])),
        median_dice=float(np.median([result.dice[region] for result in results])),
        low=sum(result.dice[region] < LOW_DICE for result in results),
        best_dice=best.dice[region],
        best_case=best.case,
        mean_hd95=float(np.mean(distances)) if distances else None,
        undefined_hd95=len(results) - len(distances),
        absent=sum(result.true_ml[region] == 0 for result in results),
    )
