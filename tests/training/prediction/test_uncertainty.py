"""How unsure the network is of a whole answer, as one number."""

import numpy as np
import pytest

from training.prediction.uncertainty import uncertainty

SHAPE = (8, 8, 8)
BRAIN = np.ones(SHAPE, bool)
LABELS = np.zeros(SHAPE, np.uint8)
LABELS[2:6, 2:6, 2:6] = 2


def of(tumor: np.ndarray, labels: np.ndarray = LABELS, brain: np.ndarray = BRAIN) -> float:
    """Score an answer by the probability of tumor in each voxel."""
    probabilities = np.zeros((*SHAPE, 4), np.float32)
    probabilities[..., 0], probabilities[..., 2] = 1 - tumor, tumor
    return uncertainty(probabilities, labels, brain)


def test_an_answer_without_any_doubt_scores_nothing() -> None:
    assert of((LABELS > 0).astype(np.float32)) == 0


def test_doubt_within_the_tumor_and_doubt_around_it_both_count() -> None:
    sure = np.where(LABELS > 0, 0.99, 0.01).astype(np.float32)
    within = np.where(LABELS > 0, 0.6, 0.01).astype(np.float32)
    around = sure.copy()
    around[6:8] = 0.4  # nearly reported
    assert of(sure) < of(within)
    assert of(sure) < of(around)


def test_it_is_what_the_dice_is_expected_to_lack() -> None:
    tumor = np.where(LABELS > 0, 0.8, 0.1).astype(np.float32)
    expected = []
    rng = np.random.default_rng(1)
    for _ in range(200):  # truths as the probabilities say
        truth = rng.random(SHAPE) < tumor
        expected.append(2 * np.count_nonzero(truth & (LABELS > 0)) / (np.count_nonzero(truth) + 64))
    assert of(tumor) == pytest.approx(1 - np.mean(expected), abs=0.01)


def test_nothing_found_is_the_least_sure_of_all() -> None:
    assert of(np.full(SHAPE, 0.01, np.float32), np.zeros(SHAPE, np.uint8)) == 1


def test_what_is_outside_the_brain_does_not_count() -> None:
    tumor = np.where(LABELS > 0, 1.0, 0.0).astype(np.float32)
    tumor[0] = 0.5
    brain = BRAIN.copy()
    brain[0] = False
    assert of(tumor, brain=brain) == 0
    assert of(tumor) > 0


def test_the_kind_of_tumor_is_no_doubt_about_the_tumor() -> None:
    probabilities = np.zeros((*SHAPE, 4), np.float32)
    probabilities[..., 0] = LABELS == 0
    probabilities[LABELS > 0, 1:] = 1 / 3
    assert uncertainty(probabilities, LABELS, BRAIN) == pytest.approx(0, abs=1e-6)
