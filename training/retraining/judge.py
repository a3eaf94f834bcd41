"""Parent and candidate of a retraining on the same cases: scores, the tried averages of their weights, the numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.errors import InputError
from training.models.store import ModelVersion
from training.models.weights import Weights, average_weights
from training.retraining.before_after import BeforeAfter, draw_before_after
from training.retraining.config import RetrainConfig
from training.retraining.corrections import Correction, RetrainCases
from training.retraining.evidence import Report, cross_validate
from training.retraining.promotion import (
    IN_TURN,
    NOT_JUDGED,
    Comparison,
    Guard,
    PatientScore,
    Scores,
    check_guard,
    compare,
    metrics_of,
)
from training.retraining.scoring import CaseScore, Scorer, by_patient

#: Smallest share of the way from the parent's weights to the trained ones that is tried.
SMALLEST_SHARE = 0.25


@dataclass(frozen=True)
class Candidate:
    """Weights and what was measured of them.

    Attributes:
        weights: The weights.
        share: Their position from the parent's weights (0) to the trained ones (1).
        phantoms: Dice on the phantoms.
        guard: The comparison with the parent on the phantoms.
        scores: Scores on the labeled validation cases.
        patients: Scores of parent and candidate by validation patient.
    """

    weights: Weights
    share: float
    phantoms: Scores
    guard: Guard
    scores: Sequence[CaseScore] = ()
    patients: Sequence[PatientScore] = ()


class Judge:
    """Compares a candidate with its parent: first :meth:`score_parent`, then :meth:`score_candidate`, then the rest.

    Args:
        parent: The version that the training starts from.
        cases: The prepared cases.
        corrections: The readable ones.
        config: Settings.
        report: Called with a message for each step.
        origin: The version with which the retrainings began; ``None`` if that is the parent.
    """

    def __init__(
        self,
        parent: ModelVersion,
        cases: RetrainCases,
        corrections: Sequence[Correction],
        config: RetrainConfig,
        report: Report,
        origin: ModelVersion | None = None,
    ) -> None:
        self._parent = parent
        self._origin = origin
        self._cases = cases
        self._corrections = corrections
        self._patients: Mapping[str, str] = {one.case.id: one.case.patient for one in corrections}
        self._config = config
        self._report = report
        self._start = parent.load_weights()
        self._validation = cases.evaluation[: cases.held_out]
        self._phantoms = cases.evaluation[cases.held_out :]
        self._before: list[CaseScore] = []
        self._phantoms_before: list[dict[str, float]] = []
        self._phantoms_at_origin: list[dict[str, float]] = []
        self._scorer: Scorer | None = None

    def score_parent(self) -> None:
        """Score the parent, before the training."""
        message = f"evaluating the current model, {self._parent.id}, on {self._count(len(self._cases.evaluation))}"
        self._report(message)
        scorer = self._new_scorer(self._start)
        self._before = scorer.score(self._validation, lambda: self._report(message))
        self._phantoms_before = self._on_phantoms(scorer, message)
        if self._origin is not None:
            message = f"evaluating {self._origin.id}, with which the retrainings began, on the phantoms"
            try:
                scorer.use(self._origin.load_weights())
            except InputError as error:  # a damaged ancestor does not stop the training of its descendants
                self._report(f"{error.message} What all retrainings together have forgotten is not known")
                self._origin = None
            else:
                self._phantoms_at_origin = self._on_phantoms(scorer, message)

    def score_candidate(self, trained: Weights) -> Candidate:
        """Score the trained weights or, if they forget too much, the first average with the parent's that does not.

        If every average forgets too much as well, these are the trained weights.
        """
        message = f"evaluating the new model on {self._count(len(self._cases.evaluation))}"
        self._scorer = scorer = self._new_scorer(trained)
        whole = chosen = self._guarded(scorer, trained, 1.0, message)
        while not chosen.guard.passed:
            if chosen.share <= SMALLEST_SHARE:
                chosen = whole
                break
            self._report("too much was forgotten: evaluating weights halfway back to the current model")
            weights = average_weights(self._start, chosen.weights)
            chosen = self._guarded(scorer, weights, chosen.share / 2, message)
        scorer.use(chosen.weights)
        scores = scorer.score(self._validation, lambda: self._report(message))
        patients = by_patient(self._patients, self._validation, self._before, scores)
        return Candidate(chosen.weights, chosen.share, chosen.phantoms, chosen.guard, scores, patients)

    def compare(self, candidate: Candidate, work_dir: Path, should_stop: Callable[[], bool]) -> Comparison:
        """Compare candidate and parent on the validation patients, or if these are too few, by a cross-validation.

        Args:
            candidate: From :meth:`score_candidate`.
            work_dir: That of the retraining.
            should_stop: Called after every step of a cross-validation; ``True`` ends it without a result.
        """
        needed = self._config.enough_validation
        comparison = compare(candidate.patients, needed)
        if comparison.outcome != NOT_JUDGED or not self._config.cross_validate or should_stop():
            return comparison
        learned = [one for one in self._corrections if one.split == "train"]
        folds = cross_validate(
            self._parent,
            learned,
            config=self._config,
            work_dir=work_dir,
            report=self._report,
            should_stop=should_stop,
        )
        if len(folds) + len(candidate.patients) < needed:
            return comparison
        return compare([*candidate.patients, *folds], needed, IN_TURN)

    def draw(self, candidate: Candidate) -> BeforeAfter:
        """Draw one case with the answers of both; see :mod:`training.retraining.before_after`."""
        self._report("drawing a case before and after")
        return draw_before_after(
            self._cases,
            self._patients,
            candidate.patients,
            self._scorer or self._new_scorer(candidate.weights),
            parent=(self._parent.id, self._start),
            candidate=candidate.weights,
        )

    def metrics(self, candidate: Candidate, comparison: Comparison) -> dict[str, Any]:
        """Return the metrics for the model card.

        Returns:
            ``parent`` and ``candidate``: mean Dice by region and ``mean``, over the cases of ``means_over``: the
            validation patients if there are enough of them, otherwise the phantoms. ``cases``: Dice of both by case.
            ``outcome``; ``patients`` and ``guard``: see :mod:`training.retraining.promotion`.
        """
        before, after = [score.dice for score in self._before], [score.dice for score in candidate.scores]
        enough = len(candidate.patients) >= self._config.enough_validation
        decisive = (self._validation, before, after)
        guard = (self._phantoms, self._phantoms_before, candidate.phantoms)
        every_case = [metrics_of(cases, old, new)["cases"] for cases, old, new in (decisive, guard) if cases]
        return {
            **metrics_of(*(decisive if enough else guard)),
            "means_over": "validation patients" if enough else "phantoms",
            "cases": {case: scores for part in every_case for case, scores in part.items()},
            "outcome": comparison.outcome,
            "patients": comparison.to_json(),
            "guard": candidate.guard.to_json(),
        }

    def _guarded(self, scorer: Scorer, weights: Weights, share: float, message: str) -> Candidate:
        self._report(message)
        scorer.use(weights)
        after = self._on_phantoms(scorer, message)
        ids = [case.id for case in self._phantoms]
        guard = check_guard(ids, self._phantoms_before, after, self._config.tolerance)
        if self._origin is not None:
            drift = check_guard(ids, self._phantoms_at_origin, after, self._config.drift)
            guard = replace(guard, origin=self._origin.id, drift=drift)
        return Candidate(weights, share, after, guard)

    def _on_phantoms(self, scorer: Scorer, message: str) -> list[dict[str, float]]:
        scores = scorer.score(self._phantoms, lambda: self._report(message), surfaces=False)
        return [score.dice for score in scores]

    def _new_scorer(self, weights: Weights) -> Scorer:
        return Scorer(self._config.fit_config(), self._parent.card.network, weights)

    @staticmethod
    def _count(cases: int) -> str:
        return "1 case" if cases == 1 else f"{cases} cases"
