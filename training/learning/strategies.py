"""Strategies for the next case: in which order the cases of a hospital are corrected.

A strategy knows of each case that is not corrected yet only what the current version says of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from training.labels import LABELS
from training.learning.answers import Answer
from training.preparation.store import PREPARED_VOXEL_ML

#: What a strategy measures of each answer, by case.
Measures = Mapping[str, np.ndarray]

_STRATA = 3


@dataclass(frozen=True)
class Turn:
    """A choice of cases.

    Attributes:
        count: Number of cases to choose.
        corrected: Number of cases corrected before.
        order: Number of the order; strategies that rotate start at another place in each.
        rng: Random generator.
    """

    count: int
    corrected: int
    order: int
    rng: np.random.Generator


@dataclass(frozen=True)
class Strategy:
    """A strategy.

    Attributes:
        about: A phrase for the report.
        choose: Returns the ids of the next cases, of those in the measures.
        measure: What it measures of an answer; ``None`` if it looks at none.
    """

    about: str
    choose: Callable[[Measures, Turn], list[str]]
    measure: Callable[[Answer], np.ndarray] | None = None


def _random(measures: Measures, turn: Turn) -> list[str]:
    return [str(case) for case in turn.rng.permutation(sorted(measures))[: turn.count]]


def _volume(answer: Answer) -> np.ndarray:
    return np.array([np.count_nonzero(answer.labels) * PREPARED_VOXEL_ML])


def _stratified(measures: Measures, turn: Turn) -> list[str]:
    """Take cases at random from the small, the medium and the large tumors in turn."""
    ranked = sorted(measures, key=lambda case: (measures[case][0], case))
    strata = [list(turn.rng.permutation(part)) for part in np.array_split(ranked, _STRATA)]
    chosen: list[str] = []
    stratum = turn.order + turn.corrected
    while len(chosen) < min(turn.count, len(ranked)):
        if strata[stratum % _STRATA]:
            chosen.append(str(strata[stratum % _STRATA].pop()))
        stratum += 1
    return chosen


def _expected_quality(answer: Answer) -> np.ndarray:
    return np.array([sum(answer.expected.values()) / len(answer.expected)])


def _least_sure(measures: Measures, turn: Turn) -> list[str]:
    return sorted(measures, key=lambda case: (measures[case][0], case))[: turn.count]


def _class_entropies(answer: Answer) -> np.ndarray:
    """Return the mean entropy over the voxels of each label in the answer; 0 for a label that is not there."""
    return np.array([_mean_entropy(answer.probabilities[answer.labels == label.value]) for label in LABELS])


def _mean_entropy(probabilities: np.ndarray) -> float:
    if not len(probabilities):
        return 0.0
    known = np.maximum(probabilities, np.finfo(np.float32).tiny)
    return float(-(known * np.log(known)).sum(axis=-1).mean())


def _noisy_entropy(measures: Measures, turn: Turn) -> list[str]:
    """Take the case of the largest noisy entropy of one label, of the labels in turn.

    The logarithm of the entropy is perturbed by Gumbel noise of scale ``1 / beta`` (Kirsch et al. 2023,
    arXiv:2106.12059). Beta starts at 1 and rises with the number of corrected cases, so that the noise fades.
    """
    left = dict(measures)
    chosen: list[str] = []
    for number in range(turn.corrected, turn.corrected + min(turn.count, len(left))):
        label = (turn.order + number) % len(LABELS)
        noise = turn.rng.gumbel(0, 1 / (1 + number), len(left))
        scores = {
            case: np.log(max(measure[label], 1e-9)) + noise[place]
            for place, (case, measure) in enumerate(sorted(left.items()))
        }
        best = max(scores, key=lambda case: scores[case])
        chosen.append(best)
        del left[best]
    return chosen


#: The strategies by name.
STRATEGIES: dict[str, Strategy] = {
    "random": Strategy("at random", _random),
    "stratified": Strategy(
        "at random from the small, medium and large predicted tumors in turn (tertiles of the volume)",
        _stratified,
        _volume,
    ),
    "least-sure": Strategy(
        "the lowest expected Dice first, as the server's strategy `uncertainty`", _least_sure, _expected_quality
    ),
    "noisy-entropy": Strategy(
        "the largest mean entropy over the voxels of one label, of the labels in turn, with fading Gumbel noise: ClaSP "
        "PE (Lüth et al. 2026, arXiv:2601.13677), for whole cases instead of patches",
        _noisy_entropy,
        _class_entropies,
    ),
}
