"""The hybrid loss: its known values, and that it is computed stably from logits."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from training.network.losses import DiceCrossEntropy, cross_entropy_loss, soft_dice_loss

SHAPE = (2, 8, 8, 8)


@pytest.fixture
def a_truth():
    labels = np.random.default_rng(0).integers(0, 4, SHAPE)
    return np.eye(4, dtype=np.float32)[labels]


def test_a_perfect_and_sure_answer_costs_nothing(a_truth):
    logits = (a_truth * 2 - 1) * 50
    assert float(DiceCrossEntropy()(a_truth, logits)) == pytest.approx(0.0, abs=1e-5)


def test_cross_entropy_of_an_undecided_answer_is_the_log_of_the_number_of_classes(a_truth):
    assert float(cross_entropy_loss(a_truth, np.zeros_like(a_truth))) == pytest.approx(np.log(4), rel=1e-5)


def test_dice_of_an_undecided_answer_is_as_computed_by_hand(a_truth):
    counts = a_truth.reshape(-1, 4).sum(0)
    voxels = a_truth.size / 4
    expected = 1 - np.mean(((2 * counts * 0.25 + 1) / (voxels * 0.25 + counts + 1))[1:])
    assert float(soft_dice_loss(a_truth, np.zeros_like(a_truth))) == pytest.approx(expected, rel=1e-5)


def test_extreme_logits_stay_finite_where_clipped_probabilities_would_not_learn(a_truth):
    wrong = np.float32(-1e4) * a_truth
    loss = float(DiceCrossEntropy()(a_truth, wrong))
    assert np.isfinite(loss)
    assert loss > 1e3  # the cross-entropy keeps its slope however wrong the answer is


def test_background_alone_is_not_rewarded_by_dice():
    truth = np.zeros((*SHAPE, 4), np.float32)
    truth[..., 0] = 1
    truth[:, :2, :2, :2] = [0, 0, 0, 1]
    all_background = np.zeros((*SHAPE, 4), np.float32)
    all_background[..., 0] = 50
    assert float(soft_dice_loss(truth, all_background)) > 0.3


def test_the_weights_of_the_two_terms_are_honored_and_survive_saving(a_truth):
    loss = DiceCrossEntropy(dice_weight=0.5, cross_entropy_weight=2.0)
    logits = np.zeros_like(a_truth)
    expected = 0.5 * float(soft_dice_loss(a_truth, logits)) + 2 * np.log(4)
    assert float(loss(a_truth, logits)) == pytest.approx(expected, rel=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(a_truth, logits)) == pytest.approx(expected, rel=1e-5)
