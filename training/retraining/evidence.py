"""What corrected patients say of a version that has not seen them: after the fact, or by a cross-validation.

**After the fact.** A newly corrected case was unseen by the current version and by its parent. Before the next training
both are evaluated on these cases, which costs no training (prequential evaluation; Dawid 1984, doi:10.2307/2981683). A
label that was drawn by correcting the answer of the current version resembles that answer: the comparison favors the
current version, so "worse" weighs more than "better". If the current version is worse, the training starts from its
parent.

**Cross-validation.** As long as there are too few validation patients, the retraining can be repeated on parts of the
corrected patients and be judged on the others, at the cost of a training per fold.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from training.errors import InputError
from training.models.store import ModelStore, ModelVersion
from training.models.weights import Weights
from training.preparation.store import PreparedCase
from training.retraining.config import RetrainConfig
from training.retraining.corrections import Correction, RetrainCases
from training.retraining.fine_tune import fine_tune
from training.retraining.folds import split_patients
from training.retraining.promotion import EQUAL, NEW, NOT_JUDGED, WORSE, Comparison, PatientScore, compare
from training.retraining.scoring import Scorer, by_patient

#: Called with a message for each step.
Report = Callable[[str], None]
#: Folder of the cross-validation in the work folder of a retraining.
FOLDS = "folds"


@dataclass(frozen=True)
class CurrentCheck:
    """The current version against its parent, on patients corrected since it was made.

    Attributes:
        current: The current version.
        start: The version to train from: the current one, or its parent if the current one is worse.
        comparison: Parent (as "parent") and current version (as "candidate"); ``None`` if it was not possible.
    """

    current: ModelVersion
    start: ModelVersion
    comparison: Comparison | None = None

    @property
    def sentence(self) -> str:
        """What was found, and what follows; empty without a patient."""
        found, current = self.comparison, self.current
        if found is None or not found.patients:
            return ""
        parent = current.card.parent
        if found.outcome == NOT_JUDGED:
            said = f"too few to judge {current.id} against {parent}"
        else:
            said = f"{current.id} was {found.outcome} {'to' if found.outcome == EQUAL else 'than'} {parent}"
        text = f"Since {current.id} was made, {found.numbers}: {said}."
        return f"{text} So this training started from {parent}." if found.outcome == WORSE else text

    @property
    def way_back(self) -> str:
        """What to do if nothing replaces a current version that is worse than its parent; else empty."""
        if self.start.id == self.current.id:
            return ""
        return f" {self.current.id} is still in use: consider {self.start.id}, by making it the version in use."

    def to_json(self) -> dict[str, Any]:
        """Return ``current_version`` for the metrics of a model card; nothing without a patient."""
        if self.comparison is None or not self.comparison.patients:
            return {}
        about = {"version": self.current.id, "against": self.current.card.parent, "started_from": self.start.id}
        return {"current_version": {**about, **self.comparison.to_json(), "sentence": self.sentence}}


def check_current(
    store: ModelStore, corrections: Sequence[Correction], cases: RetrainCases, config: RetrainConfig, report: Report
) -> CurrentCheck:
    """Compare the current version with its parent on the newest cases that neither of them, nor an ancestor, has seen.

    Without such a case, without a parent, or with a parent of another architecture nothing is compared.

    Args:
        store: The model store.
        corrections: Labeled cases, in the order of their arrival.
        cases: The prepared ones.
        config: Settings.
        report: Called with a message for each step.
    """
    current = store.current()
    unseen = _unseen(store.lineage(current), corrections, cases)[-config.compare_unseen :]
    found = _parent(store, current)
    if not config.compare_unseen or not unseen or found is None:
        return CurrentCheck(current, current)
    parent, weights = found
    patients = {correction.case.id: correction.case.patient for correction in corrections}
    count = "one newly corrected case" if len(unseen) == 1 else f"{len(unseen)} newly corrected cases"
    message = f"comparing {current.id} with {parent.id} on {count}"
    report(message)
    scorer = Scorer(config.fit_config(), parent.card.network, weights)
    before = scorer.score(unseen, lambda: report(message))
    scorer.use(current.load_weights())
    after = scorer.score(unseen, lambda: report(message))
    comparison = compare(by_patient(patients, unseen, before, after), config.enough_validation, NEW)
    return CurrentCheck(current, parent if comparison.outcome == WORSE else current, comparison)


def cross_validate(
    parent: ModelVersion,
    corrections: Sequence[Correction],
    *,
    config: RetrainConfig,
    work_dir: Path,
    report: Report,
    should_stop: Callable[[], bool],
) -> list[PatientScore]:
    """Repeat the retraining without a part of the patients, for each part, and score parent and result on it.

    Args:
        parent: The version to train from.
        corrections: Readable cases of the training split.
        config: Settings; ``cross_validate`` is the number of folds, fewer if there are fewer patients.
        work_dir: That of the retraining: prepared cases are used from there, and the checkpoints lie below it.
        report: Called with a message for each step.
        should_stop: Called after every step; ``True`` ends the training.

    Returns:
        One score per patient; empty with fewer than two patients, or if it was stopped.
    """
    patients = {correction.case.id: correction.case.patient for correction in corrections}
    folds = min(config.cross_validate, len(set(patients.values())))
    if folds < 2:
        return []
    scores: list[PatientScore] = []
    for number, held_out in enumerate(split_patients(patients.values(), folds), start=1):
        parts = [
            correction.with_split("validation" if correction.case.patient in held_out else "train")
            for correction in corrections
        ]
        scores += _run_fold(
            parent,
            parts,
            config=config,
            work_dir=work_dir,
            folder=work_dir / FOLDS / str(number),
            report=partial(_say, report, f"cross-validation, fold {number} of {folds}"),
            should_stop=should_stop,
        )
        if should_stop():
            return []
    return scores


def forget_folds(work_dir: Path) -> None:
    """Delete the checkpoints of a finished cross-validation."""
    shutil.rmtree(work_dir / FOLDS, ignore_errors=True)


def _run_fold(
    parent: ModelVersion,
    parts: Sequence[Correction],
    *,
    config: RetrainConfig,
    work_dir: Path,
    folder: Path,
    report: Report,
    should_stop: Callable[[], bool],
) -> list[PatientScore]:
    """Train on the training part and score parent and result on the validation part."""
    mixture = replace(config.mixture(parent.card.network.stride), judge_phantoms=0)
    cases = mixture.prepare(parts, work_dir, report)
    result = fine_tune(
        parent,
        replace(cases, evaluation=[]),  # no choice among the epochs on the patients that judge
        config=config,
        work_dir=folder,
        on_progress=lambda at: report(f"epoch {min(at.epoch + 1, at.total_epochs)} of {at.total_epochs}"),
        should_stop=should_stop,
    )
    scorer = Scorer(config.fit_config(), parent.card.network, parent.load_weights())
    before = scorer.score(cases.evaluation, lambda: report("evaluating"))
    scorer.use(result.weights)
    after = scorer.score(cases.evaluation, lambda: report("evaluating"))
    return by_patient({part.case.id: part.case.patient for part in parts}, cases.evaluation, before, after)


def _say(report: Report, name: str, message: str) -> None:
    report(f"{name}: {message}")


def _unseen(
    lineage: Sequence[ModelVersion], corrections: Sequence[Correction], cases: RetrainCases
) -> list[PreparedCase]:
    """Return the prepared cases of patients of whom no version of the lineage has seen a label, as they arrived."""
    seen = {case.patient for version in lineage for case in version.card.data if case.label_sha256}
    prepared: Mapping[str, PreparedCase] = {
        case.id: case for case in (*cases.train[: cases.corrected], *cases.evaluation[: cases.held_out])
    }
    return [
        prepared[correction.case.id]
        for correction in corrections
        if correction.case.id in prepared and correction.case.patient not in seen
    ]


def _parent(store: ModelStore, version: ModelVersion) -> tuple[ModelVersion, Weights] | None:
    """Return the parent of a version with its weights, if it is still there and has the same architecture."""
    try:
        parent = store.get(version.card.parent or "")
        weights = parent.load_weights()
    except InputError:
        return None
    return (parent, weights) if parent.card.network == version.card.network else None
