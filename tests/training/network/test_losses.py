import keras
import numpy as np
import pytest

from training.network.losses import DiceCrossEntropy, cross_entropy_loss, soft_dice_loss

SHAPE = (2, 8, 8, 8)
TRUTH = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, SHAPE)]
UNDECIDED = np.zeros_like(TRUTH)


def test_the_loss_is_that_computed_by_hand_has_a_slope_everywhere_and_does_not_reward_background():
    assert float(cross_entropy_loss(TRUTH, UNDECIDED)) == pytest.approx(np.log(4), rel=1e-5)
    counts, voxels = TRUTH.reshape(-1, 4).sum(0), TRUTH.size / 4
    expected = 1 - np.mean(((2 * counts * 0.25 + 1) / (voxels * 0.25 + counts + 1))[1:])
    assert float(soft_dice_loss(TRUTH, UNDECIDED)) == pytest.approx(expected, rel=1e-5)
    weighted = DiceCrossEntropy(dice_weight=0.5, cross_entropy_weight=2.0)
    for loss in (weighted, keras.losses.deserialize(keras.losses.serialize(weighted))):
        assert float(loss(TRUTH, UNDECIDED)) == pytest.approx(0.5 * expected + 2 * np.log(4), rel=1e-5)
    assert float(DiceCrossEntropy()(TRUTH, (TRUTH * 2 - 1) * 50)) == pytest.approx(0.0, abs=1e-5)
    loss = float(DiceCrossEntropy()(TRUTH, np.float32(-1e4) * TRUTH))
    assert np.isfinite(loss)
    assert loss > 1e3  # with clipped probabilities it would be flat here
    truth = np.broadcast_to(np.array([1, 0, 0, 0], np.float32), TRUTH.shape).copy()
    truth[:, :2, :2, :2] = [0, 0, 0, 1]
    all_background = np.broadcast_to(np.array([50, 0, 0, 0], np.float32), TRUTH.shape)
    assert float(soft_dice_loss(truth, all_background)) > 0.3
