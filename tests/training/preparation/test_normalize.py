import numpy as np
import pytest

from training.preparation.normalize import zscore

IMAGE = np.random.default_rng(0).normal(500.0, 60.0, (12, 10, 8, 4))
BRAIN = np.zeros((12, 10, 8), bool)
BRAIN[2:10, 2:8, 1:7] = True


def test_each_channel_has_mean_0_and_deviation_1_inside_its_mask_and_is_0_outside():
    result = zscore(IMAGE, BRAIN)
    assert result.dtype == np.float32
    assert result[BRAIN].mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-4)
    assert result[BRAIN].std(axis=0) == pytest.approx(np.ones(4), abs=1e-4)
    assert not result[~BRAIN].any()
    assert not zscore(np.where(np.arange(4) == 2, 7.0, IMAGE), BRAIN)[..., 2].any()
    assert not zscore(IMAGE, np.zeros_like(BRAIN)).any()
    masks = np.stack([BRAIN] * 4, axis=-1)
    masks[5:, ..., 1] = False
    result = zscore(IMAGE, masks)
    assert not result[5:, ..., 1].any()
    assert result[5:10, 2:8, 1:7, 0].all()
