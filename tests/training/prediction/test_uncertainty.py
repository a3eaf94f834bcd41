"""The uncertainty of a whole answer, as one number."""

import numpy as np
import pytest

from training.prediction.uncertainty import uncertainty

SHAPE = (8, 8, 8)
BRAIN = np.ones(SHAPE, bool)
LABELS = np.zeros(SHAPE, np.uint8)
LABELS[2:6, 2:6, 2:6] = 2
TUMOR = LABELS > 0


def score(tumor: np.ndarray, labels: np.ndarray = LABELS, brain: np.ndarray = BRAIN) -> float:
    """Score an answer by the probability of tumor in each voxel, shared equally by the tumor classes."""
    probabilities = np.repeat(tumor[..., None] / 3, 4, axis=-1).astype(np.float32)
    probabilities[..., 0] = 1 - tumor
    return uncertainty(probabilities, labels, brain)


def test_a_certain_answer_scores_0_whatever_the_kind_of_tumor() -> None:
    assert score(TUMOR.astype(np.float32)) == pytest.approx(0, abs=1e-6)


def test_doubt_inside_and_around_the_tumor_both_count() -> None:
    sure = np.where(TUMOR, 0.99, 0.01).astype(np.float32)
    around = sure.copy()
    around[6:8] = 0.4  # nearly reported
    assert score(sure) < score(np.where(TUMOR, 0.6, 0.01).astype(np.float32))
    assert score(sure) < score(around)


def test_it_is_1_minus_the_expected_dice() -> None:
    tumor = np.where(TUMOR, 0.8, 0.1).astype(np.float32)
    expected = []
    rng = np.random.default_rng(1)
    for _ in range(200):  # truths drawn from the probabilities
        truth = rng.random(SHAPE) < tumor
        expected.append(2 * np.count_nonzero(truth & TUMOR) / (np.count_nonzero(truth) + 64))
    assert score(tumor) == pytest.approx(1 - np.mean(expected), abs=0.01)


def test_an_empty_answer_is_the_most_uncertain() -> None:
    assert score(np.full(SHAPE, 0.01, np.float32), np.zeros(SHAPE, np.uint8)) == 1


def test_voxels_outside_the_brain_do_not_count() -> None:
    tumor = TUMOR.astype(np.float32)
    tumor[0] = 0.5
    brain = BRAIN.copy()
    brain[0] = False
    assert score(tumor, brain=brain) == pytest.approx(0, abs=1e-6)
    assert score(tumor) > 0.01
