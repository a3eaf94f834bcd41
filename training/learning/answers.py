"""The answers of a version for prepared cases, and what they are worth: Dice, and the time to correct them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from training.evaluation.metrics import region_dice
from training.learning.editing import editing
from training.learning.robot import submitted_label
from training.prediction.postprocess import decide
from training.prediction.quality import expected_dice
from training.preparation.store import PREPARED_SPACING_MM, PREPARED_VOXEL_ML, PreparedCase

if TYPE_CHECKING:
    from training.prediction.segmenter import Segmenter


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer of a version for one prepared case.

    Attributes:
        labels: ``(x, y, z)`` uint8, values of :mod:`training.labels`.
        probabilities: ``(x, y, z, class)`` float32.
        expected: Expected Dice by region.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    expected: dict[str, float]


class CaseScore(BaseModel):
    """How an answer compares with the truth.

    Attributes:
        case: Id of the case.
        dice: Dice by region.
        editing_seconds: Estimated time to correct the answer.
    """

    case: str
    dice: dict[str, float]
    editing_seconds: float

    @property
    def mean(self) -> float:
        """Mean Dice over the regions."""
        return sum(self.dice.values()) / len(self.dice)


def answer_of(segmenter: Segmenter, case: PreparedCase) -> Answer:
    """Return the answer for a prepared case, by the same rules as in use."""
    image = np.asarray(case.image(), np.float32)
    brain = np.any(image != 0, axis=-1)
    probabilities = segmenter.probabilities(image)
    labels = decide(probabilities, brain, voxel_ml=PREPARED_VOXEL_ML)
    return Answer(labels, probabilities, expected_dice(probabilities, labels, brain, voxel_ml=PREPARED_VOXEL_ML))


def score_of(answer: np.ndarray, truth: np.ndarray, case: str, seed: int) -> CaseScore:
    """Compare an answer on voxels of 1 mm with the truth.

    Args:
        answer: ``(x, y, z)`` uint8, values of :mod:`training.labels`.
        truth: The same.
        case: Id of the case.
        seed: Seed of the robot corrector, whose label the editing time leads to.
    """
    submitted = submitted_label(answer, truth, PREPARED_SPACING_MM, seed=seed, case=case)
    return CaseScore(
        case=case,
        dice={region: round(value, 5) for region, value in region_dice(answer, truth).items()},
        editing_seconds=round(editing(answer, submitted, PREPARED_SPACING_MM).seconds, 1),
    )
