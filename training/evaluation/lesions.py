"""Lesion-wise Dice and HD95 of BraTS 2023, which show missed and false lesions that a Dice of all voxels hides.

The method is that of the challenge (https://www.synapse.org/Synapse:syn51156910/discussion/threadId=10357,
https://github.com/rachitsaluja/BraTS-2023-Metrics) with its settings for gliomas:

1. The truth is dilated three times (18-neighborhood); what is connected then (26-neighborhood) is one lesion, which
   consists of its undilated voxels.
2. A connected part of the prediction (26-neighborhood) belongs to each lesion whose dilation it overlaps. A lesion
   without such a part is missed; a part without a lesion is a false lesion, however small.
3. True lesions of at most 50 mm³ do not count, whether found or missed; parts that belong to them are not false.
4. A found lesion has the Dice and the HD95 between it and all parts that belong to it; a missed or a false lesion has
   Dice 0 and HD95 374 mm. The score is the mean over found, missed and false lesions.

Without any of these, Dice is 1 and HD95 is 0: truth and prediction are empty, or the truth has only lesions too small
to count. If only the truth or only the prediction is empty, Dice is 0 and HD95 is 374 mm.

The dilation is in voxels, as in BraTS, where they measure 1 mm. No library gives this: panoptica 2.1.7 has no dilation,
and its requirements exclude the versions of rich and pandas that are used here; brats-evaluation is AGPL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.evaluation.surfaces import surface_distances
from training.images.masks import bounding_box, dice

DILATIONS = 3
#: True lesions up to this volume do not count.
SMALL_MM3 = 50.0
#: HD95 of a missed or false lesion: the diagonal of the image of BraTS, 240 x 240 x 155 mm.
MISSED_MM = 374.0


@dataclass(frozen=True)
class LesionScores:
    """Lesion-wise scores of one region of one case.

    Attributes:
        dice: Mean lesion-wise Dice, 0-1.
        hd95_mm: Mean lesion-wise HD95, in mm.
        found: Number of true lesions that the prediction overlaps, or is within the dilation of.
        missed: Number of true lesions that it does not.
        false: Number of predicted lesions without a true one.
    """

    dice: float
    hd95_mm: float
    found: int
    missed: int
    false: int


def lesion_scores(prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float]) -> LesionScores:
    """Compare a prediction with the truth lesion by lesion; see the top of this file for the method.

    Args:
        prediction: Mask ``(x, y, z)`` of a region.
        truth: Mask of the same shape.
        spacing: Voxel size along the axes, in mm.
    """
    from scipy import ndimage

    prediction, truth = prediction.astype(bool), truth.astype(bool)
    box = bounding_box(prediction | truth, margin=DILATIONS)
    if box is None:
        return LesionScores(1.0, 0.0, 0, 0, 0)
    prediction, truth = prediction[box], truth[box]
    every, near = ndimage.generate_binary_structure(3, 3), ndimage.generate_binary_structure(3, 2)
    lesions, lesion_count = ndimage.label(ndimage.binary_dilation(truth, near, DILATIONS), every)
    parts, part_count = ndimage.label(prediction, every)
    belongs = np.zeros((lesion_count + 1, part_count + 1), bool)
    belongs[lesions, parts] = True
    belongs[0] = belongs[:, 0] = False
    scores: list[tuple[float, float]] = []
    missed = 0
    for lesion in range(1, lesion_count + 1):
        true = truth & (lesions == lesion)
        if np.count_nonzero(true) * np.prod(spacing) <= SMALL_MM3:
            continue
        missed += not belongs[lesion].any()
        scores.append(_score(belongs[lesion][parts], true, spacing))
    false = part_count - int(np.count_nonzero(belongs.any(axis=0)))
    found = len(scores) - missed
    scores += [(0.0, MISSED_MM)] * false
    if not scores:
        return LesionScores(1.0, 0.0, 0, 0, 0)
    overlap, distance = np.mean(scores, axis=0)
    return LesionScores(float(overlap), round(float(distance), 3), found, missed, false)


def _score(prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float]) -> tuple[float, float]:
    if not prediction.any():
        return 0.0, MISSED_MM
    return dice(prediction, truth), surface_distances(prediction, truth, spacing).hd95()
