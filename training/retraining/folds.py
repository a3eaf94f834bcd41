"""The folds of a cross-validation, and what is known of each once it is finished."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel

from training.errors import InputError
from training.evaluation.result import CaseResult
from training.labels import REGIONS


class HeldOutScore(BaseModel):
    """One model on one case: Dice and HD95 (mm) by region, and predicted volumes (mL)."""

    dice: dict[str, float]
    hd95_mm: dict[str, float | None]
    predicted_ml: dict[str, float]


class HeldOutCase(BaseModel):
    """A case as the parent and the model of the fold that never saw its patient segment it; volumes in mL."""

    case: str
    patient: str
    fold: int
    true_ml: dict[str, float]
    parent: HeldOutScore
    model: HeldOutScore


class FinishedFold(BaseModel):
    """A finished fold.

    Attributes:
        fold: Its number, from 1.
        trained_on: Number of cases in its training.
        weights_sha256: Of its model.
        epochs: Number of epochs that ran.
        batch_size: Patches per batch.
        cases: The held-out cases.
    """

    fold: int
    trained_on: int
    weights_sha256: str
    epochs: int
    batch_size: int
    cases: list[HeldOutCase]


def split_patients(patients: Iterable[str], folds: int) -> list[tuple[str, ...]]:
    """Deal patients out to folds, in the order of their ids.

    Patients of one site mostly have neighboring ids, so each fold gets some of each site.

    Args:
        patients: Ids of patients; each is in exactly one fold, however often it is given.
        folds: Number of folds.

    Raises:
        InputError: If there are fewer than two folds, or fewer patients than folds.

    Examples:
        >>> split_patients(["c", "a", "b", "a"], 2)
        [('a', 'c'), ('b',)]
    """
    ordered = sorted(set(patients))
    if folds < 2:
        raise InputError(f"A cross-validation has at least 2 folds, not {folds}.", field="folds")
    if len(ordered) < folds:
        raise InputError(
            f"{folds} folds need cases of as many patients; there are {len(ordered)}. Give more labeled cases, or "
            "fewer folds.",
            field="folds",
        )
    return [tuple(ordered[first::folds]) for first in range(folds)]


def score_of(result: CaseResult) -> HeldOutScore:
    """Return the entry of one evaluated case, rounded."""
    return HeldOutScore(
        dice={region: round(result.dice[region], 4) for region in REGIONS},
        hd95_mm={region: result.hd95[region] for region in REGIONS},
        predicted_ml=volumes_of(result.predicted_ml),
    )


def volumes_of(volumes: Mapping[str, float]) -> dict[str, float]:
    """Return the volumes of the regions."""
    return {region: round(volumes[region], 3) for region in REGIONS}


def summarize(folds: Sequence[FinishedFold]) -> dict[str, Any]:
    """Return what a model card holds of a cross-validation: the mean Dice over the held-out cases, and every case.

    Each case counts once, with the model of its fold; ``mean`` is the mean over the regions.
    """
    cases = sorted((case for fold in folds for case in fold.cases), key=lambda case: (case.fold, case.case))
    return {
        "folds": len(folds),
        "patients": len({case.patient for case in cases}),
        "parent": _means([case.parent for case in cases]),
        "model": _means([case.model for case in cases]),
        "cases": [case.model_dump(mode="json") for case in cases],
    }


def _means(scores: Sequence[HeldOutScore]) -> dict[str, float]:
    means = {region: float(np.mean([score.dice[region] for score in scores])) for region in REGIONS}
    return {name: round(value, 4) for name, value in {**means, "mean": float(np.mean(list(means.values())))}.items()}
