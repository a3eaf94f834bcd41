"""Evaluation of a model on labeled cases and phantoms.

All metrics are computed on the grid of the case's own label, after the segmentation was resampled to it: on what a
person sees, not on the working grid of the network. For empty regions see :mod:`training.evaluation.metrics` and
:mod:`training.evaluation.lesions`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from training.cases.case import Case
from training.errors import InputError
from training.evaluation.difficulty import difficulty_of
from training.evaluation.lesions import lesion_scores
from training.evaluation.metrics import hd95, label_dice, region_dice, surface_dice, volume_errors
from training.evaluation.report import draw_poor, write_report
from training.evaluation.result import LOW_DICE, CaseResult, EvaluationReport
from training.evaluation.subjects import Subject, phantom_subjects, subject_of_case
from training.images.grid import Volume
from training.labels import REGIONS, region_mask
from training.phantoms.generate import phantom_id
from training.prediction.segmenter import Segmentation, volumes_ml
from training.preparation.prepare import matching_role


class SegmenterLike(Protocol):
    """The model under evaluation: :class:`training.prediction.segmenter.Segmenter`, or anything with its interface."""

    def segment(self, volumes: Mapping[str, Volume], *, reference: str, allow_whole_head: bool = False) -> Segmentation:
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
    allow_whole_head: bool = False,
    as_scanned: bool | None = None,
    force: bool = False,
    on_result: Callable[[Subject, Segmentation, CaseResult], None] | None = None,
    answers: Iterable[tuple[str, Callable[[], Evaluated]]] | None = None,
) -> EvaluationReport:
    """Segment labeled cases and phantoms, and compare with their labels.

    A case that cannot be read is listed under ``failures`` and does not stop the others. After Ctrl-C, what is finished
    is reported.

    Args:
        cases: Cases without a label count as failures.
        segmenter: The model.
        out_dir: Output folder for ``cases.csv`` (a row per case), ``report.json`` (everything), ``report.html``, and a
            picture of each poorly segmented case.
        on_progress: Called before each case and at the end with cases done, their total, and the id of the case.
        phantoms: Seeds of whole heads, generated on all cores.
        pictures: Whether to draw the poorly segmented cases.
        workers: Processes that generate phantoms; ``None`` for one per core.
        allow_whole_head: Whether to segment cases with skull as they are, without registering and stripping.
        as_scanned: As for :func:`training.preprocessing.preprocess.preprocess`.
        force: The same.
        on_result: Called with each subject, its segmentation and the result.
        answers: The id of each case and phantom with its result, in any order, if they are computed elsewhere
            (:mod:`training.evaluation.elsewhere`); what concerns the computation is then not used here.

    Raises:
        InputError: If no case could be evaluated; the message is that of the first failure.
        KeyboardInterrupt: After Ctrl-C, if no case is finished.
    """
    results: list[CaseResult] = []
    failures: dict[str, str] = {}
    drawn: dict[str, Path] = {}
    version = ""
    total = len(cases) + len(phantoms)
    report_progress = on_progress or (lambda done, total, name: None)
    stopped: KeyboardInterrupt | None = None
    if allow_whole_head and as_scanned is None:
        as_scanned = False
    readers = {case.id: partial(subject_of_case, case, as_scanned=as_scanned, force=force) for case in cases}
    if answers is None:
        evaluations = _evaluations(readers, segmenter, phantoms, workers, allow_whole_head)
        answers = (
            (name, partial(conclude, evaluate, Path(out_dir) if pictures else None, on_result))
            for name, evaluate in evaluations
        )
    try:
        for done, (name, evaluate) in enumerate(answers):
            report_progress(done, total, name)
            try:
                evaluated = evaluate()
            except InputError as error:
                failures[name] = error.message
                continue
            version = evaluated.version
            results.append(evaluated.result)
            if evaluated.picture is not None:
                drawn[f"picture of {name}"] = evaluated.picture
            if evaluated.show is not None:
                evaluated.show()
    except KeyboardInterrupt as error:
        stopped = error
    report_progress(total if stopped is None else len(results) + len(failures), total, "")
    if not results:
        if stopped is not None:
            raise stopped
        raise InputError(next(iter(failures.values()), "There is no labeled case to evaluate."), field="cases")
    names = [*(case.id for case in cases), *map(phantom_id, phantoms)]
    numbers = {name: number for number, name in enumerate(names)}
    # Phantoms, and what is computed elsewhere, arrive in the order in which they are finished.
    results.sort(key=lambda result: numbers[result.case])
    failures = {name: failures[name] for name in names if name in failures}
    drawn = {key: drawn[key] for key in (f"picture of {name}" for name in names) if key in drawn}
    report = EvaluationReport(version, tuple(results), failures, drawn, stopped=stopped is not None)
    return write_report(report, Path(out_dir))


_Evaluation = tuple[Subject, Segmentation, CaseResult]


@dataclass(frozen=True)
class Evaluated:
    """What is kept of one evaluated case.

    Attributes:
        result: Its result.
        version: Of the model.
        picture: Of a poorly segmented case.
        show: Called once the result is kept, or ``None``.
    """

    result: CaseResult
    version: str
    picture: Path | None = None
    show: Callable[[], None] | None = None


def conclude(
    evaluate: Callable[[], _Evaluation],
    pictures: Path | None,
    on_result: Callable[[Subject, Segmentation, CaseResult], None] | None = None,
) -> Evaluated:
    """Evaluate one case, and draw it if it is poorly segmented.

    Args:
        evaluate: Returns the subject, its segmentation and its result.
        pictures: Output folder of the evaluation; ``None`` to draw nothing.
        on_result: To be called with what ``evaluate`` returns.
    """
    subject, segmentation, result = evaluate()
    picture = None
    if result.why and pictures is not None:
        picture = draw_poor(subject, segmentation.labelmap, result, pictures)
    show = None if on_result is None else partial(on_result, subject, segmentation, result)
    return Evaluated(result, segmentation.model_version, picture, show)


def _evaluations(
    readers: Mapping[str, Callable[[], Subject]],
    segmenter: SegmenterLike,
    phantoms: Sequence[int],
    workers: int | None,
    allow_whole_head: bool,
) -> Iterator[tuple[str, Callable[[], _Evaluation]]]:
    """Yield the id of each case and phantom, and the function that evaluates it."""
    for name, read in readers.items():
        yield name, partial(evaluate_case, read, segmenter, allow_whole_head)
    for subject in phantom_subjects(phantoms, workers=workers) if phantoms else ():
        yield subject.id, partial(_evaluate_phantom, subject, segmenter)


def evaluate_case(read: Callable[[], Subject], segmenter: SegmenterLike, allow_whole_head: bool) -> _Evaluation:
    """Read a case and evaluate it; see :func:`evaluate_subject`."""
    started = time.perf_counter()
    subject = read()
    return subject, *evaluate_subject(subject, segmenter, started, allow_whole_head=allow_whole_head)


def _evaluate_phantom(subject: Subject, segmenter: SegmenterLike) -> _Evaluation:
    return subject, *evaluate_subject(subject, segmenter)


def evaluate_subject(
    subject: Subject, segmenter: SegmenterLike, started: float | None = None, *, allow_whole_head: bool = False
) -> tuple[Segmentation, CaseResult]:
    """Segment one head on the grid of its truth and compare the two.

    Args:
        subject: The head.
        segmenter: The model.
        started: Start of the time measurement (``time.perf_counter``), if before this call.
        allow_whole_head: Whether to segment volumes that do not look skull-stripped.

    Raises:
        InputError: If a volume cannot be used, or the truth lies on none of the volumes' grids.
    """
    started = time.perf_counter() if started is None else started
    reference = matching_role(subject.truth.grid, subject.volumes)
    segmentation = segmenter.segment(subject.volumes, reference=reference, allow_whole_head=allow_whole_head)
    return segmentation, compare(subject, segmentation, reference=reference, seconds=time.perf_counter() - started)


def compare(subject: Subject, segmentation: Segmentation, *, reference: str, seconds: float) -> CaseResult:
    """Compare a segmentation with the truth, on the grid of the truth.

    Args:
        subject: The head.
        segmentation: The segmentation, on the grid of the truth.
        reference: The role of that grid.
        seconds: Time of the segmentation.
    """
    truth, labelmap = subject.truth, segmentation.labelmap
    spacing = truth.grid.spacing
    pairs = {name: (region_mask(labelmap.data, name), region_mask(truth.data, name)) for name in REGIONS}
    predicted_ml, true_ml = segmentation.volumes_ml, volumes_ml(truth)
    errors = {name: volume_errors(predicted_ml[name], true_ml[name]) for name in REGIONS}
    scores = region_dice(labelmap.data, truth.data)
    return CaseResult(
        case=subject.id,
        patient=subject.patient,
        dice=scores,
        label_dice=label_dice(labelmap.data, truth.data),
        hd95={name: _hd95(*pair, spacing) for name, pair in pairs.items()},
        lesions={name: lesion_scores(*pair, spacing) for name, pair in pairs.items()},
        surface_dice={name: surface_dice(*pair, spacing) for name, pair in pairs.items()},
        predicted_ml=predicted_ml,
        true_ml=true_ml,
        volume_error_ml={name: error for name, (error, _) in errors.items()},
        volume_error_percent={name: percent for name, (_, percent) in errors.items()},
        seconds=round(seconds, 3),
        reference=reference,
        warnings=tuple(dict.fromkeys((*subject.warnings, *segmentation.warnings))),
        kind=subject.kind,
        why=difficulty_of(subject, labelmap) if scores["WT"] < LOW_DICE else "",
        labels=subject.labels,
        expected_dice=segmentation.expected_dice,
        uncertainty=segmentation.uncertainty,
    )


def _hd95(prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float]) -> float | None:
    distance = hd95(prediction, truth, spacing)
    return None if math.isnan(distance) else round(distance, 3)
