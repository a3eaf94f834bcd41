"""How good the model's segmentations were and how long their correction took, case by case, from the labels' records.

Nothing is computed from voxels here: a label's record has held the comparison since it was submitted. What counts, and
why, is in docs/corrections.md.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import fmean, median
from typing import Any

from server_app.labels.store import LabelStore, LabelVersion
from server_app.labels.submission import FINAL
from training.errors import InputError
from training.labels import REGIONS
from training.models.store import ModelStore

#: The columns of the table, in their order, without those of each region.
_COLUMNS: tuple[str, ...] = ("case", "label", "submission", "submitted", "answered", "version", "seen")
_COLUMNS += ("changed_ml", "minutes", "active_minutes")
MEAN = "mean"


@dataclass(frozen=True)
class MeasuredSubmission:
    """A final label against the model's segmentation that it corrects.

    Attributes:
        case: The case's id.
        label: The label's version.
        submission: 1 for the case's first final label, 2 for the second ...
        submitted: When it was submitted: UTC, ISO 8601.
        answered: When the model's segmentation was made; ``None`` if that is not known.
        version: The model version that made it; ``None`` for a label that corrects none.
        seen: Whether that version, or one that it was trained from, had learned from the case, or from another one of
            its patient; ``None`` without a version, or if its card cannot be read.
        dice: Dice of WT, TC and ET, and their ``mean``; ``None`` if the segmentation was not known any more.
        surface_dice: The same at 1 mm; ``None`` in records of earlier releases, and for noise.
        changed_ml: Volume of the voxels whose label differs, in mL.
        minutes: From ``answered`` to ``submitted``.
        active_minutes: Spent working on the label, without pauses, as the client measured it.
    """

    case: str
    label: str
    submission: int
    submitted: str
    answered: str | None
    version: str | None
    seen: bool | None
    dice: dict[str, float] | None
    surface_dice: dict[str, float] | None
    changed_ml: float | None
    minutes: float | None
    active_minutes: float | None


@dataclass(frozen=True)
class VersionSummary:
    """The first submissions of the cases that a model version segmented without having seen them.

    Attributes:
        version: Its id.
        cases: Their number.
        dice: Mean Dice of WT, TC and ET, and of the three (``mean``).
        median_minutes: From the segmentation to the submission; ``None`` if it is not known of any case.
        median_active_minutes: The same of the work on the label.
    """

    version: str
    cases: int
    dice: dict[str, float]
    median_minutes: float | None
    median_active_minutes: float | None


@dataclass(frozen=True)
class CorrectionSeries:
    """All final labels of a workspace, in the order of submission.

    Attributes:
        cases: The first one of each case.
        resubmissions: The others.
        versions: Summaries in the order in which the versions' segmentations were first submitted.
    """

    cases: tuple[MeasuredSubmission, ...]
    resubmissions: tuple[MeasuredSubmission, ...]
    versions: tuple[VersionSummary, ...]

    @classmethod
    def of(cls, store: LabelStore, models: ModelStore) -> CorrectionSeries:
        """Collect the final labels of all cases; those that are the model's own segmentation are no corrections."""
        seen_by, found = _SeenCases(models), []
        for case in store.cases():
            labels = [label for label in store.versions(case, FINAL) if label.record.get("source") != "model"]
            found += [_measured(label, number, seen_by) for number, label in enumerate(labels, start=1)]
        found.sort(key=lambda one: (one.submitted, one.case, one.submission))
        first = tuple(one for one in found if one.submission == 1)
        return cls(first, tuple(one for one in found if one.submission > 1), _summaries(first))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    def to_csv(self) -> str:
        """Return all submissions, in their order, as a table with a header line; unknown values are empty."""
        regions = (*REGIONS, MEAN)
        columns = [*_COLUMNS, *(f"{name}_{region.lower()}" for name in ("dice", "surface_dice") for region in regions)]
        table = io.StringIO()
        writer = csv.DictWriter(table, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for one in sorted((*self.cases, *self.resubmissions), key=lambda one: (one.submitted, one.case)):
            row = {name: value for name, value in asdict(one).items() if name in _COLUMNS and value is not None}
            for name, values in (("dice", one.dice), ("surface_dice", one.surface_dice)):
                row |= {f"{name}_{region.lower()}": value for region, value in (values or {}).items()}
            writer.writerow(row)
        return table.getvalue()


class _SeenCases:
    """What model versions have learned from; a card is read once."""

    def __init__(self, models: ModelStore) -> None:
        self._models = models
        #: By version: ids of cases and names of patients, its ancestors' included as far as they can be read.
        self._known: dict[str, frozenset[tuple[str, str]] | None] = {}

    def has(self, version: str, case: str, patient: object) -> bool | None:
        """Return whether a version has seen a case or its patient; ``None`` if its card cannot be read."""
        seen = self._of(version)
        return None if seen is None else bool({("case", case), ("patient", str(patient))} & seen)

    def _of(self, version: str) -> frozenset[tuple[str, str]] | None:
        line: list[tuple[str, frozenset[tuple[str, str]]]] = []
        ancestor: str | None = version
        while ancestor is not None and ancestor not in self._known:
            self._known[ancestor] = None  # until it is read; and a circle of parents ends here
            try:
                card = self._models.get(ancestor).card
            except InputError:
                break
            labeled = [one for one in card.data if one.label_sha256]  # of the others only the images were used
            own = {("case", one.case) for one in labeled} | {("patient", one.patient) for one in labeled}
            line.append((ancestor, frozenset(own)))
            ancestor = card.parent
        seen = self._known.get(ancestor) if ancestor is not None else None
        for name, own_cases in reversed(line):
            seen = self._known[name] = own_cases | (seen or frozenset())
        return self._known[version]


def _measured(label: LabelVersion, number: int, seen_by: _SeenCases) -> MeasuredSubmission:
    record, version = label.record, label.record.get("model_version")
    version = version if isinstance(version, str) else None
    active = _number(record.get("active_seconds"))
    return MeasuredSubmission(
        case=label.case,
        label=label.version,
        submission=number,
        submitted=str(record.get("time") or ""),
        answered=record.get("answer_time"),
        version=version,
        seen=seen_by.has(version, label.case, record.get("patient")) if version is not None else None,
        dice=_with_mean(record.get("dice_against_model")),
        surface_dice=_with_mean(record.get("surface_dice_against_model")),
        changed_ml=_number(record.get("changed_ml")),
        minutes=_minutes(record.get("answer_time"), record.get("time")),
        active_minutes=round(active / 60, 2) if active is not None else None,
    )


def _summaries(first: Sequence[MeasuredSubmission]) -> tuple[VersionSummary, ...]:
    groups: dict[str, list[MeasuredSubmission]] = {}
    for one in first:
        if one.version is not None and one.dice is not None and one.seen is False:
            groups.setdefault(one.version, []).append(one)
    return tuple(
        VersionSummary(
            version=version,
            cases=len(group),
            dice={name: round(fmean(one.dice[name] for one in group if one.dice), 4) for name in (*REGIONS, MEAN)},
            median_minutes=_median(one.minutes for one in group),
            median_active_minutes=_median(one.active_minutes for one in group),
        )
        for version, group in groups.items()
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), 2) if known else None


def _with_mean(values: object) -> dict[str, float] | None:
    """Return a record's values of the three regions and their mean; ``None`` if it does not hold them."""
    if not isinstance(values, Mapping):
        return None
    known = {region: value for region in REGIONS if (value := _number(values.get(region))) is not None}
    return {**known, MEAN: round(fmean(known.values()), 4)} if len(known) == len(REGIONS) else None


def _minutes(begin: object, end: object) -> float | None:
    """Return the minutes between two times of a record; ``None`` if one is not known, or the clock was set back."""
    try:
        passed = datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(begin))
    except (TypeError, ValueError):
        return None
    return round(passed.total_seconds() / 60, 2) if passed.total_seconds() >= 0 else None


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None
