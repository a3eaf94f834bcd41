"""Scores of a model on prepared cases, with surface Dice beside Dice, and their means per patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluation.metrics import mean_dice, region_dice, region_surface_dice
from training.fitting.compile import compile_model
from training.fitting.config import FitConfig
from training.fitting.score import segment
from training.models.weights import Weights, set_weights
from training.network.unet import UNetConfig
from training.preparation.store import PREPARED_SPACING_MM, PreparedCase
from training.retraining.promotion import PatientScore


@dataclass(frozen=True)
class CaseScore:
    """One model on one case: Dice by region, and surface Dice at 1 mm, which is empty where it was not asked for."""

    dice: dict[str, float]
    surface_dice: dict[str, float]


class Scorer:
    """A network that whole cases are scored with, in the precision of the training.

    Args:
        config: Settings of the training.
        network: Architecture.
        weights: The weights to begin with.
    """

    def __init__(self, config: FitConfig, network: UNetConfig, weights: Weights) -> None:
        self._network = compile_model(config, network, weights)

    def use(self, weights: Weights) -> None:
        """Take other weights of the same architecture."""
        set_weights(self._network, weights)

    def segment(self, case: PreparedCase) -> np.ndarray:
        """Return the labels of a case, ``(x, y, z)`` uint8."""
        return segment(self._network, case)

    def score(
        self, cases: Sequence[PreparedCase], on_case: Callable[[], None] = lambda: None, *, surfaces: bool = True
    ) -> list[CaseScore]:
        """Score cases.

        Args:
            cases: Prepared cases.
            on_case: Called after each case.
            surfaces: Whether to compute surface Dice, which takes about a second per case.
        """
        scores = []
        for case in cases:
            labels, truth = self.segment(case), np.asarray(case.label())
            surface_dice = region_surface_dice(labels, truth, PREPARED_SPACING_MM) if surfaces else {}
            scores.append(CaseScore(region_dice(labels, truth), surface_dice))
            on_case()
        return scores


def by_patient(
    patients: Mapping[str, str], cases: Sequence[PreparedCase], before: Sequence[CaseScore], after: Sequence[CaseScore]
) -> list[PatientScore]:
    """Return the scores of parent and candidate per patient; the cases of a patient are averaged.

    Args:
        patients: Patient by id of the case.
        cases: The cases.
        before: Scores of the parent, one per case.
        after: Scores of the candidate, one per case.
    """
    found: dict[str, list[tuple[CaseScore, CaseScore]]] = {}
    for case, old, new in zip(cases, before, after, strict=True):
        found.setdefault(patients[case.id], []).append((old, new))
    return [
        PatientScore(
            patient,
            (mean_dice([old.dice for old, _ in pairs]), mean_dice([new.dice for _, new in pairs])),
            (mean_dice([old.surface_dice for old, _ in pairs]), mean_dice([new.surface_dice for _, new in pairs])),
        )
        for patient, pairs in found.items()
    ]
