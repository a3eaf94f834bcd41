"""Two pictures of one case, segmented by the parent and by the candidate.

The case is that of the validation patient with the median change of Dice: half of the patients changed for the worse
compared with it, half for the better. Without a validation patient it is the first corrected case, which was learned
from; the pictures and the card say so. The slice is the one where the two answers differ most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.evaluation.metrics import region_dice
from training.models.weights import Weights
from training.pictures.answer_picture import answer_picture, dice_title, slice_of_change
from training.preparation.store import PreparedCase
from training.retraining.corrections import RetrainCases
from training.retraining.promotion import PatientScore
from training.retraining.scoring import Scorer

#: Names of the files in the folder of the version.
PICTURES = BEFORE, AFTER = "before.png", "after.png"


@dataclass(frozen=True)
class BeforeAfter:
    """The pictures by file name, and what the card says about them."""

    files: dict[str, bytes]
    about: dict[str, Any] = field(default_factory=dict)


def draw_before_after(
    cases: RetrainCases,
    patients: Mapping[str, str],
    scores: Sequence[PatientScore],
    scorer: Scorer,
    *,
    parent: tuple[str, Weights],
    candidate: Weights,
) -> BeforeAfter:
    """Draw the two pictures.

    Args:
        cases: The prepared cases.
        patients: Patient by id of the case.
        scores: Of the validation patients.
        scorer: Left with the weights of the candidate.
        parent: Its id and weights.
        candidate: Its weights.
    """
    case, corrected = _chosen(cases, patients, scores)
    truth = np.asarray(case.label())
    answers = []
    for weights in (parent[1], candidate):
        scorer.use(weights)
        answers.append(scorer.segment(case))
    index = slice_of_change(answers[0], answers[1], truth)
    files = {}
    for name, title, answer in zip(PICTURES, (f"Before ({parent[0]})", "After"), answers, strict=True):
        learned = " (learned from)" if corrected else ""
        files[name] = answer_picture(
            np.asarray(case.image(), np.float32),
            answer,
            truth,
            index,
            title=dice_title(title, region_dice(answer, truth)),
            caption=f"{case.id}{learned}, slice {index + 1}",
        )
    about = {"case": case.id, "patient": patients[case.id], "corrected": corrected, "slice": index + 1}
    return BeforeAfter(files, {**about, "before": BEFORE, "after": AFTER})


def _chosen(
    cases: RetrainCases, patients: Mapping[str, str], scores: Sequence[PatientScore]
) -> tuple[PreparedCase, bool]:
    """Return the case to draw, and whether it was learned from."""
    if not cases.held_out:
        return cases.train[0], True
    ordered = sorted(scores, key=lambda score: (score.change, score.patient))
    median = ordered[(len(ordered) - 1) // 2].patient
    return next(case for case in cases.evaluation[: cases.held_out] if patients[case.id] == median), False
