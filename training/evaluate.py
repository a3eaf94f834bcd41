"""How good a model is on labeled cases: per case, and in one table.

Dice and HD95 are computed on the grid of the case's own label, after the labelmap was brought back to it: what a
person would see, not what the network sees. Conventions for empty regions are those of :mod:`training.metrics`.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from training.atomic import write_json, write_text
from training.cases import Case
from training.errors import InputError
from training.geometry import matching_role
from training.labels import REGIONS, region_mask
from training.metrics import hd95, label_dice, region_dice
from training.predict import ProgressCallback, Segmentation, volumes_ml
from training.volumes import Volume

#: Dice (WT, TC, ET) published for this kind of network on BraTS 2020, trained and tested on patients.
REFERENCE_DICE: dict[str, float] = {"WT": 0.93, "TC": 0.90, "ET": 0.79}
REFERENCE_CAVEAT = (
    "published for this kind of network on BraTS 2020, trained and tested on patients; comparable only when both "
    "are taken on the same held-out patients"
)


class SegmenterLike(Protocol):
    """What is evaluated: :class:`training.predict.Segmenter`, or anything that answers like it."""

    def segment(
        self,
        volumes: Mapping[str, Volume],
        *,
        reference: str = "t1ce",
        on_progress: ProgressCallback | None = None,
    ) -> Segmentation:
        """Segment one case; see :meth:`training.predict.Segmenter.segment`."""
        ...


@dataclass(frozen=True)
class CaseResult:
    """One evaluated case.

    Attributes:
        case: The case's id.
        patient: Its patient.
        dice: Dice of WT, TC, ET.
        label_dice: Dice of the single labels NCR, ED, ET.
        hd95: HD95 of WT, TC, ET in mm; ``None`` where it is undefined.
        predicted_ml: Volumes found, by label name and region.
        true_ml: The same of the truth.
        seconds: From files on disk to a labelmap in memory.
        reference: The role on whose grid it was compared.
        warnings: What was doubtful about the input.
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
        best_dice: Of the best case.
        best_case: Its id.
        mean_hd95: Over the cases where it is defined, in mm; ``None`` if there is none.
        undefined_hd95: Number of cases where it is not defined.
        absent: Number of cases whose truth does not hold the region.
    """

    region: str
    mean_dice: float
    best_dice: float
    best_case: str
    mean_hd95: float | None
    undefined_hd95: int
    absent: int


@dataclass(frozen=True)
class EvaluationReport:
    """Everything an evaluation found.

    Attributes:
        model_version: What was evaluated.
        cases: One result per case, in the order given.
        failures: Case id to message, for cases that could not be evaluated.
        files: What was written, by kind: ``csv``, ``json``.
    """

    model_version: str
    cases: tuple[CaseResult, ...]
    failures: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)

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
            "conventions": "Dice of two empty regions is 1, of one empty region 0; HD95 is null where one is empty.",
            "summary": [asdict(row) for row in self.summary()],
            "cases": [asdict(result) for result in self.cases],
            "failures": self.failures,
        }


def evaluate_cases(
    cases: Sequence[Case],
    segmenter: SegmenterLike,
    out_dir: Path,
    on_progress: Callable[[int, int, str], None] | None = None,
    *,
    on_result: Callable[[Case, Segmentation, CaseResult], None] | None = None,
) -> EvaluationReport:
    """Segment labeled cases and compare with their labels.

    A case that cannot be read is reported under ``failures`` and does not stop the others.

    Args:
        cases: Those without a label count as failures.
        segmenter: The model.
        out_dir: Gets ``cases.csv`` (a row per case) and ``report.json`` (everything), complete or not at all.
        on_progress: Told before each case, and at the end: cases done, cases in all, the case's id.
        on_result: Handed each answer while it is at hand, for pictures, say.

    Raises:
        InputError: If no case could be evaluated; the message is the first failure's.
    """
    results: list[CaseResult] = []
    failures: dict[str, str] = {}
    version = ""
    for number, case in enumerate(cases):
        if on_progress is not None:
            on_progress(number, len(cases), case.id)
        try:
            segmentation, result = evaluate_case(case, segmenter)
        except InputError as error:
            failures[case.id] = error.message
            continue
        version = segmentation.model_version
        results.append(result)
        if on_result is not None:
            on_result(case, segmentation, result)
    if on_progress is not None:
        on_progress(len(cases), len(cases), "")
    if not results:
        raise InputError(next(iter(failures.values()), "There is no labeled case to evaluate."), field="cases")
    files = {"csv": Path(out_dir) / "cases.csv", "json": Path(out_dir) / "report.json"}
    report = EvaluationReport(version, tuple(results), failures, files)
    write_text(files["csv"], _as_csv(report))
    write_json(files["json"], report.as_json())
    return report


def evaluate_case(case: Case, segmenter: SegmenterLike) -> tuple[Segmentation, CaseResult]:
    """Segment one labeled case on the grid of its label and compare.

    Raises:
        InputError: If the case has no label, cannot be read, or the label lies on none of its volumes' grids.
    """
    truth = case.read_label()
    started = time.perf_counter()
    volumes = case.read_all()
    reference = matching_role(truth.grid, volumes)
    segmentation = segmenter.segment(volumes, reference=reference)
    seconds = time.perf_counter() - started
    predicted = segmentation.labelmap.data
    result = CaseResult(
        case=case.id,
        patient=case.patient,
        dice=region_dice(predicted, truth.data),
        label_dice=label_dice(predicted, truth.data),
        hd95={region: _hd95(predicted, truth, region) for region in REGIONS},
        predicted_ml=segmentation.volumes_ml,
        true_ml=volumes_ml(truth),
        seconds=round(seconds, 3),
        reference=reference,
        warnings=segmentation.warnings,
    )
    return segmentation, result


def _hd95(predicted: np.ndarray, truth: Volume, region: str) -> float | None:
    distance = hd95(region_mask(predicted, region), region_mask(truth.data, region), truth.grid.spacing)
    return None if math.isnan(distance) else round(distance, 3)


def _summarize(region: str, results: Sequence[CaseResult]) -> RegionSummary:
    distances = [value for value in (result.hd95[region] for result in results) if value is not None]
    best = max(results, key=lambda result: result.dice[region])
    return RegionSummary(
        region=region,
        mean_dice=float(np.mean([result.dice[region] for result in results])),
        best_dice=best.dice[region],
        best_case=best.case,
        mean_hd95=float(np.mean(distances)) if distances else None,
        undefined_hd95=len(results) - len(distances),
        absent=sum(result.true_ml[region] == 0 for result in results),
    )


def _as_csv(report: EvaluationReport) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["case", "patient"]
    header += [f"dice_{region}" for region in REGIONS] + [f"hd95_mm_{region}" for region in REGIONS]
    header += [f"dice_label_{key}" for key in report.cases[0].label_dice]
    header += [f"true_ml_{region}" for region in REGIONS] + [f"predicted_ml_{region}" for region in REGIONS]
    writer.writerow([*header, "seconds", "model_version", "warnings"])
    for result in report.cases:
        row: list[Any] = [result.case, result.patient]
        row += [f"{result.dice[region]:.4f}" for region in REGIONS]
        row += ["" if result.hd95[region] is None else f"{result.hd95[region]:.2f}" for region in REGIONS]
        row += [f"{value:.4f}" for value in result.label_dice.values()]
        row += [f"{volumes[region]:.3f}" for volumes in (result.true_ml, result.predicted_ml) for region in REGIONS]
        writer.writerow([*row, f"{result.seconds:.2f}", report.model_version, " | ".join(result.warnings)])
    for case, message in report.failures.items():
        writer.writerow([case] + [""] * (len(header) + 1) + [f"NOT EVALUATED: {message}"])
    return text.getvalue()
