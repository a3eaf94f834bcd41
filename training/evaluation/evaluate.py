"""How good a model is on labeled cases and on phantoms: per case, and in one table.

Dice and HD95 are computed on the grid of the case's own label, after the labelmap was brought back to it: what a
person would see, not what the network sees. Conventions for empty regions are those of
:mod:`training.evaluation.metrics`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from training.cases.case import Case
from training.errors import InputError
from training.evaluation.metrics import hd95, label_dice, region_dice
from training.evaluation.result import LOW_DICE, CaseResult, EvaluationReport
from training.evaluation.subjects import Subject, phantom_subjects, subject_of_case
from training.images.grid import Volume
from training.labels import REGIONS, region_mask
from training.phantoms.generate import phantom_id
from training.prediction.segmenter import Segmentation, volumes_ml
from training.preparation.prepare import matching_role


class SegmenterLike(Protocol):
    """What is evaluated: :class:`training.prediction.segmenter.Segmenter`, or anything that answers like it."""

    def segment(self, volumes: Mapping[str, Volume], *, reference: str) -> Segmentation:
        """Segment one case; see :meth:`training.prediction.segmenter.Segmenter.segment`."""
        ...


def evaluate_cases(
    cases: Sequence[Case],
    segmenter: SegmenterLike,
    out_dir: Path,
    on_progress: Callable[[int, int, str], None] | None = None,
    *,
    phantoms: Sequence[int] = (),
    pictures: bool = True,
    workers: int | None = None,
    on_result: Callable[[Subject, Segmentation, CaseResult], None] | None = None,
) -> EvaluationReport:
    """Segment labeled cases and phantoms, and compare with their labels.

    A case that cannot be read is reported under ``failures`` and does not stop the others.

    Args:
        cases: Those without a label count as failures.
        segmenter: The model.
        out_dir: Gets ``cases.csv`` (a row per case), ``report.json`` (everything) and ``report.html``, complete or
            not at all, and a picture of each case whose whole tumor was found poorly.
        on_progress: Told before each case, and at the end: cases done, in all, the case's id.
        phantoms: Seeds of whole heads that are made on the way, on all cores.
        pictures: Draw the poor cases.
        workers: Processes that make phantoms; ``None`` takes one per core.
        on_result: Handed each answer while it is at hand, for pictures, say.

    Raises:
        InputError: If no case could be evaluated; the message is the first failure's.
    """
    from training.evaluation.report import draw_poor, write_report

    results: list[CaseResult] = []
    failures: dict[str, str] = {}
    drawn: dict[str, Path] = {}
    version = ""
    total = len(cases) + len(phantoms)
    tell = on_progress or (lambda done, total, name: None)
    for done, (name, evaluate) in enumerate(_work(cases, segmenter, phantoms, workers)):
        tell(done, total, name)
        try:
            subject, segmentation, result = evaluate()
        except InputError as error:
            failures[name] = error.message
            continue
        version = segmentation.model_version
        results.append(result)
        if result.why and pictures:
            drawn[f"picture of {name}"] = draw_poor(subject, segmentation.labelmap, result, Path(out_dir))
        if on_result is not None:
            on_result(subject, segmentation, result)
    tell(total, total, "")
    if not results:
        raise InputError(next(iter(failures.values()), "There is no labeled case to evaluate."), field="cases")
    numbers = {phantom_id(seed): number for number, seed in enumerate(phantoms)}
    results.sort(key=lambda result: numbers.get(result.case, -1))  # phantoms come in the order they are finished
    return write_report(EvaluationReport(version, tuple(results), failures, drawn), Path(out_dir))


_Evaluation = tuple[Subject, Segmentation, CaseResult]


def _work(
    cases: Sequence[Case], segmenter: SegmenterLike, phantoms: Sequence[int], workers: int | None
) -> Iterator[tuple[str, Callable[[], _Evaluation]]]:
    """Yield what is to be done, one after another, with its name."""
    for case in cases:
        yield case.id, partial(_evaluate_case, case, segmenter)
    for subject in phantom_subjects(phantoms, workers=workers) if phantoms else ():
        yield subject.id, partial(_evaluate_phantom, subject, segmenter)


def _evaluate_case(case: Case, segmenter: SegmenterLike) -> _Evaluation:
    started = time.perf_counter()
    subject = subject_of_case(case)
    return subject, *evaluate_subject(subject, segmenter, started)


def _evaluate_phantom(subject: Subject, segmenter: SegmenterLike) -> _Evaluation:
    return subject, *evaluate_subject(subject, segmenter)


def evaluate_subject(
    subject: Subject, segmenter: SegmenterLike, started: float | None = None
) -> tuple[Segmentation, CaseResult]:
    """Segment one head on the grid of its truth and compare.

    Args:
        subject: The head.
        segmenter: The model.
        started: When the work began (``time.perf_counter``), if that was before now.

    Raises:
        InputError: If a volume cannot be used, or the truth lies on none of the volumes' grids.
    """
    started = time.perf_counter() if started is None else started
    reference = matching_role(subject.truth.grid, subject.volumes)
    segmentation = segmenter.segment(subject.volumes, reference=reference)
    return segmentation, compare(subject, segmentation, reference=reference, seconds=time.perf_counter() - started)


def compare(subject: Subject, segmentation: Segmentation, *, reference: str, seconds: float) -> CaseResult:
    """Compare an answer with the truth, on the truth's grid.

    Args:
        subject: The head.
        segmentation: The answer, on the grid of the truth.
        reference: The role of that grid.
        seconds: What it took.
    """
    from training.evaluation.why import why

    truth, labelmap = subject.truth, segmentation.labelmap
    scores = region_dice(labelmap.data, truth.data)
    return CaseResult(
        case=subject.id,
        patient=subject.patient,
        dice=scores,
        label_dice=label_dice(labelmap.data, truth.data),
        hd95={region: _hd95(labelmap.data, truth, region) for region in REGIONS},
        predicted_ml=segmentation.volumes_ml,
        true_ml=volumes_ml(truth),
        seconds=round(seconds, 3),
        reference=reference,
        warnings=segmentation.warnings,
        kind=subject.kind,
        why=why(subject, labelmap) if scores["WT"] < LOW_DICE else "",
    )


def _hd95(predicted: np.ndarray, truth: Volume, region: str) -> float | None:
    distance = hd95(region_mask(predicted, region), region_mask(truth.data, region), truth.grid.spacing)
    return None if math.isnan(distance) else round(distance, 3)
