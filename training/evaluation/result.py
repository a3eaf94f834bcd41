"""The results of an evaluation: per case, per region, and in total."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.lesions import MISSED_MM, SMALL_MM3, LesionScores
from training.evaluation.metrics import TOLERANCE_MM
from training.labels import REGIONS

#: A case with a lower whole-tumor Dice gets a picture and an explanation.
LOW_DICE = 0.6

#: Dice (WT, TC, ET) published for this kind of network on BraTS 2020, trained and tested on patients.
REFERENCE_DICE: dict[str, float] = {"WT": 0.93, "TC": 0.90, "ET": 0.79}
REFERENCE_CAVEAT = (
    "published for this kind of network on BraTS 2020, trained and tested on patients; comparable only when both "
    "are taken on the same held-out patients"
)
#: What the numbers mean, for the reports.
CONVENTIONS = (
    f"Dice and surface Dice (tolerance {TOLERANCE_MM:g} mm) are 1 if both regions are empty, 0 if one is; HD95 is "
    "undefined (null) if one is empty. Lesion-wise Dice and HD95 are those of BraTS 2023: a missed or false lesion has "
    f"Dice 0 and HD95 {MISSED_MM:g} mm, true lesions up to {SMALL_MM3:g} mm³ do not count. Volume errors are predicted "
    "minus true; the percentage is undefined (null) if the true volume is 0."
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
        lesions: Lesion-wise scores of WT, TC, ET, with the numbers of missed and false lesions.
        surface_dice: Surface Dice of WT, TC, ET at a tolerance of 1 mm.
        predicted_ml: Predicted volumes by label name and region.
        true_ml: The same for the truth.
        volume_error_ml: Predicted minus true volume of WT, TC, ET, in mL.
        volume_error_percent: The same in percent of the true volume; ``None`` where that is 0.
        seconds: Time from files on disk to a labelmap in memory.
        reference: The role on whose grid the two were compared.
        warnings: Warnings about the input.
        kind: Kind of tumor of a phantom; empty for a case.
        why: Explanation if the Dice of WT is below :data:`LOW_DICE`, else empty.
        labels: Label scheme of the truth, and what it was recognized by; empty if it is TumorLoop's own.
        expected_dice: What the model itself expects of WT, TC, ET; empty if it says nothing.
        uncertainty: 1 minus their mean; ``None`` if it says nothing.
    """

    case: str
    patient: str
    dice: dict[str, float]
    label_dice: dict[str, float]
    hd95: dict[str, float | None]
    lesions: dict[str, LesionScores]
    surface_dice: dict[str, float]
    predicted_ml: dict[str, float]
    true_ml: dict[str, float]
    volume_error_ml: dict[str, float]
    volume_error_percent: dict[str, float | None]
    seconds: float
    reference: str
    warnings: tuple[str, ...] = ()
    kind: str = ""
    why: str = ""
    labels: str = ""
    expected_dice: dict[str, float] = field(default_factory=dict)
    uncertainty: float | None = None

    @property
    def mean_dice(self) -> float:
        """Mean over WT, TC and ET."""
        return float(np.mean(list(self.dice.values())))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> CaseResult:
        """Return the result of which ``dataclasses.asdict`` was written as JSON."""
        lesions = {region: LesionScores(**scores) for region, scores in content["lesions"].items()}
        return cls(**{**content, "lesions": lesions, "warnings": tuple(content["warnings"])})


@dataclass(frozen=True)
class RegionSummary:
    """One row of the results tables. Means and medians are over the cases.

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
        mean_lesion_dice: Lesion-wise Dice.
        mean_lesion_hd95: Lesion-wise HD95, in mm.
        found_lesions: Total number of found lesions.
        missed_lesions: Total number of missed lesions.
        false_lesions: Total number of false lesions.
        mean_surface_dice: Surface Dice at a tolerance of 1 mm.
        mean_volume_error_ml: Predicted minus true volume, in mL; errors of both signs cancel.
        mean_absolute_volume_error_ml: The same without the sign.
        median_volume_error_percent: In percent of the true volume, over the cases where that is not 0; ``None`` if
            there are none. A median, because a tiny true volume makes a huge percentage.
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
    mean_lesion_dice: float
    mean_lesion_hd95: float
    found_lesions: int
    missed_lesions: int
    false_lesions: int
    mean_surface_dice: float
    mean_volume_error_ml: float
    mean_absolute_volume_error_ml: float
    median_volume_error_percent: float | None


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
            "conventions": CONVENTIONS,
            "summary": [asdict(row) for row in self.summary()],
            "cases": [asdict(result) for result in self.cases],
            "failures": self.failures,
            "stopped": self.stopped,
        }


def _summarize(region: str, results: Sequence[CaseResult]) -> RegionSummary:
    distances = [value for value in (result.hd95[region] for result in results) if value is not None]
    best = max(results, key=lambda result: result.dice[region])
    lesions = [result.lesions[region] for result in results]
    errors = [result.volume_error_ml[region] for result in results]
    percents = [value for value in (result.volume_error_percent[region] for result in results) if value is not None]
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
        mean_lesion_dice=float(np.mean([scores.dice for scores in lesions])),
        mean_lesion_hd95=float(np.mean([scores.hd95_mm for scores in lesions])),
        found_lesions=sum(scores.found for scores in lesions),
        missed_lesions=sum(scores.missed for scores in lesions),
        false_lesions=sum(scores.false for scores in lesions),
        mean_surface_dice=float(np.mean([result.surface_dice[region] for result in results])),
        mean_volume_error_ml=float(np.mean(errors)),
        mean_absolute_volume_error_ml=float(np.mean(np.abs(errors))),
        median_volume_error_percent=float(np.median(percents)) if percents else None,
    )
