"""The decision whether a candidate is promoted: on patients, with phantoms as a guard against forgetting.

**Patients.** The labeled patients held out for validation decide once there are enough of them (three by default), or
before that the folds of a cross-validation. What counts is the difference between candidate and parent on the same
patient, in mean Dice over WT, TC and ET and in mean surface Dice at 1 mm. With the 95 % interval of Student's paired t
test for the mean difference, a candidate is *better* (the interval of Dice is above 0), *worse* (that of Dice or of
surface Dice is below 0) or *equal*. It is promoted if mean Dice is not lower and it is not worse; no loss is tolerated.
Not the bootstrap: for a few patients its percentile interval is far too narrow (Hesterberg 2015, "What Teachers Should
Know About the Bootstrap", doi:10.1080/00031305.2015.1089789, section 4).

The interval says what the patients say, and these are few. With early stopping the training chooses among its epochs on
the same patients, and the difference favors the candidate a little; without it, the last weights are kept.

**Phantoms.** Synthetic heads say little about patients: they refused a version that had gained .02 / .02 / .055 on 30
unseen ones. They only tell whether what was known is forgotten: a candidate is refused if the median over the phantoms
of the loss in mean Dice is above a limit. The median, because a single head may drop by 0.1 where the network is
undecided about one region, while forgetting lowers most of them. Many small losses add up, so there is a second limit
for all retrainings together, since the bundled model with which they began.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.evaluation.metrics import mean_dice
from training.labels import REGIONS
from training.models.store import PROMOTED
from training.preparation.store import PreparedCase

BETTER, EQUAL, WORSE, NOT_JUDGED = "better", "equal", "worse", "not judged"
#: Which patients are compared.
VALIDATION, NEW, IN_TURN = "validation", "newly corrected", "cross-validated"
#: Confidence of the intervals.
LEVEL = 0.95
#: Loss of mean Dice on too few validation patients that nevertheless refuses a candidate: three standard deviations
#: of a patient's change (0.035) in the cross-validation of the bundled v0001.
CLEAR_LOSS = 0.1

#: Dice by region, one entry per case.
Scores = list[dict[str, float]]


@dataclass(frozen=True)
class PatientScore:
    """A patient's mean Dice and mean surface Dice at 1 mm over the regions, of the parent and of the candidate."""

    patient: str
    dice: tuple[float, float]
    surface_dice: tuple[float, float]

    @property
    def change(self) -> float:
        """Dice of the candidate minus Dice of the parent."""
        return self.dice[1] - self.dice[0]


@dataclass(frozen=True)
class Interval:
    """Mean of paired differences, and the bounds of its interval; ``None`` for fewer than two differences."""

    mean: float
    low: float | None = None
    high: float | None = None

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval is above 0."""
        return self.low is not None and self.low > 0

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval is below 0."""
        return self.high is not None and self.high < 0

    def __str__(self) -> str:
        bounds = "" if self.low is None else f" ({LEVEL:.0%} interval {self.low:+.3f} to {self.high:+.3f})"
        return f"{self.mean:+.3f}{bounds}"

    def to_json(self) -> dict[str, float | None]:
        """Return mean, low and high."""
        return {name: _rounded(getattr(self, name)) for name in ("mean", "low", "high")}


@dataclass(frozen=True)
class Comparison:
    """Two models on the same patients.

    Attributes:
        outcome: :data:`BETTER`, :data:`EQUAL`, :data:`WORSE`, or :data:`NOT_JUDGED` on fewer patients than ``needed``.
        patients: What was compared.
        needed: Number of patients from which there is an outcome.
        dice: Difference in mean Dice; ``None`` without patients.
        surface_dice: Difference in mean surface Dice at 1 mm.
        source: Which patients these are, in words.
    """

    outcome: str
    patients: Sequence[PatientScore]
    needed: int
    dice: Interval | None = None
    surface_dice: Interval | None = None
    source: str = VALIDATION

    @property
    def numbers(self) -> str:
        """The differences in words; empty without patients."""
        if self.dice is None:
            return ""
        count = len(self.patients)
        who = f"{count} {self.source} {'patient' if count == 1 else 'patients'}"
        return f"on {who} mean Dice {self.dice}, surface Dice at 1 mm {self.surface_dice}"

    @property
    def accepts(self) -> bool:
        """Whether nothing about the patients speaks against the candidate."""
        if self.dice is None:
            return True
        if self.outcome == NOT_JUDGED:
            return self.dice.mean >= -CLEAR_LOSS
        return self.outcome != WORSE and self.dice.mean >= 0

    def to_json(self) -> dict[str, Any]:
        """Return everything for a model card."""
        each = {
            score.patient: {
                name: {"parent": _rounded(getattr(score, name)[0]), "candidate": _rounded(getattr(score, name)[1])}
                for name in ("dice", "surface_dice")
            }
            for score in self.patients
        }
        intervals = {
            name: interval.to_json() if interval is not None else None
            for name, interval in (("dice", self.dice), ("surface_dice", self.surface_dice))
        }
        return {"outcome": self.outcome, "source": self.source, "needed": self.needed, **intervals, "each": each}


@dataclass(frozen=True)
class Guard:
    """What the phantoms say.

    Attributes:
        loss: Median loss of mean Dice; negative for a gain.
        limit: Loss up to which nothing counts as forgotten.
        differences: Mean Dice of the candidate minus that of the parent, by phantom.
        origin: The version with which the retrainings began; empty if it is the parent.
        drift: The same as all this, against that version.
    """

    loss: float
    limit: float
    differences: Mapping[str, float] = field(default_factory=dict)
    origin: str = ""
    drift: Guard | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing was forgotten."""
        return self.loss <= self.limit and (self.drift is None or self.drift.passed)

    @property
    def numbers(self) -> str:
        """The result in words."""
        count = len(self.differences)
        who = "the guard phantom" if count == 1 else f"the {count} guard phantoms"
        since = "" if self.drift is None else f", and {self.drift._change} since {self.origin}, of {self.drift.limit:g}"
        return f"{who} {self._change} mean Dice in the median, of {self.limit:g} that may be lost{since}"

    @property
    def _change(self) -> str:
        return f"lost {self.loss:.3f}" if self.loss > 0 else f"gained {abs(self.loss):.3f}"

    def to_json(self) -> dict[str, Any]:
        """Return everything for a model card."""
        each = {phantom: _rounded(difference) for phantom, difference in self.differences.items()}
        about = {"passed": self.passed, "loss": _rounded(self.loss), "limit": self.limit, "differences": each}
        return about if self.drift is None else {**about, "origin": self.origin, "drift": self.drift.to_json()}


@dataclass(frozen=True)
class Decision:
    """Whether a candidate is promoted, and why in a few sentences."""

    promoted: bool
    verdict: str


def paired_interval(differences: Sequence[float]) -> Interval:
    """Return the mean of paired differences with the interval of Student's paired t test.

    Args:
        differences: One per patient, at least one.

    Examples:
        >>> str(paired_interval([0.01, 0.02, 0.03]))
        '+0.020 (95% interval -0.005 to +0.045)'
        >>> str(paired_interval([0.01]))
        '+0.010'
    """
    count, mean = len(differences), float(np.mean(differences))
    if count < 2:
        return Interval(mean)
    from scipy.stats import t

    half = float(t.ppf((1 + LEVEL) / 2, count - 1)) * float(np.std(differences, ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def compare(patients: Sequence[PatientScore], needed: int, source: str = VALIDATION) -> Comparison:
    """Compare candidate and parent on patients.

    Args:
        patients: Each patient once.
        needed: Number of patients from which there is an outcome.
        source: See :class:`Comparison`.
    """
    if not patients:
        return Comparison(NOT_JUDGED, (), needed, source=source)
    dice = paired_interval([score.change for score in patients])
    surface = paired_interval([score.surface_dice[1] - score.surface_dice[0] for score in patients])
    outcome = BETTER if dice.above_zero else EQUAL
    if dice.below_zero or surface.below_zero:
        outcome = WORSE
    return Comparison(outcome if len(patients) >= needed else NOT_JUDGED, patients, needed, dice, surface, source)


def check_guard(phantoms: Sequence[str], before: Scores, after: Scores, limit: float) -> Guard:
    """Compare candidate and parent on phantoms.

    Args:
        phantoms: Their ids.
        before: Dice of the parent by region, one entry per phantom.
        after: The same of the candidate.
        limit: Median loss of mean Dice up to which nothing counts as forgotten.
    """
    differences = {
        phantom: mean_dice([new]) - mean_dice([old]) for phantom, old, new in zip(phantoms, before, after, strict=True)
    }
    return Guard(-float(np.median(list(differences.values()))) if differences else 0.0, limit, differences)


def decide(comparison: Comparison, guard: Guard, *, parent: str, replaced: str, current: str) -> Decision:
    """Decide whether a candidate is promoted.

    Args:
        comparison: On patients.
        guard: On phantoms.
        parent: Id of the version it was trained from and compared with.
        replaced: Id of the version that was current when the training began.
        current: Id of the current version, which may have changed during the training.
    """
    because = f" {_sentence(guard.numbers)}"
    if not guard.passed:
        return Decision(False, f"Not promoted: too much was forgotten.{because} {_on_patients(comparison, parent)}")
    if not comparison.accepts:
        return Decision(False, f"Not promoted: {_on_patients(comparison, parent)}{because}")
    if current != replaced:
        reason = f"{current} became the current model while this one was trained."
        return Decision(False, f"Not promoted: {reason} {_sentence(_on_patients(comparison, parent))}{because}")
    return Decision(True, f"{PROMOTED}: {_on_patients(comparison, parent)}{because}")


def metrics_of(cases: Sequence[PreparedCase], before: Scores, after: Scores) -> dict[str, Any]:
    """Return the metrics for the model card: means and all cases, of parent and candidate."""

    def rounded(scores: Mapping[str, float]) -> dict[str, float]:
        return {region: round(value, 5) for region, value in scores.items()}

    def means(scores: Scores) -> dict[str, float]:
        by_region = {region: float(np.mean([case[region] for case in scores])) for region in REGIONS}
        return rounded({**by_region, "mean": mean_dice(scores)})

    per_case = {
        case.id: {"parent": rounded(old), "candidate": rounded(new)}
        for case, old, new in zip(cases, before, after, strict=True)
    }
    return {"parent": means(before), "candidate": means(after), "cases": per_case}


def _on_patients(comparison: Comparison, parent: str) -> str:
    if comparison.outcome == NOT_JUDGED:
        missing = comparison.needed - len(comparison.patients)
        needs = "one more validation patient is" if missing == 1 else f"{missing} more validation patients are"
        known = f" So far {comparison.numbers}." if comparison.numbers else ""
        if not comparison.accepts:
            known += f" A loss of more than {CLEAR_LOSS:g} is refused even so."
        return f"not judged on patients yet, since {needs} needed.{known}"
    if comparison.outcome == EQUAL and comparison.dice is not None and comparison.dice.mean < 0:
        return f"not clearly worse than {parent}, but lower: {comparison.numbers}."
    return f"{comparison.outcome} {'to' if comparison.outcome == EQUAL else 'than'} {parent}: {comparison.numbers}."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)
