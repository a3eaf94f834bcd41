import numpy as np
import pytest

from training.preparation.normalize import zscore


@pytest.fixture
def image():
    return np.random.default_rng(0).normal(500.0, 60.0, (12, 10, 8, 4))


@pytest.fixture
def brain():
    mask = np.zeros((12, 10, 8), bool)
    mask[2:10, 2:8, 1:7] = True
    return mask


def test_each_channel_has_mean_0_and_deviation_1_inside_the_brain_and_is_0_outside(image, brain):
    result = zscore(image, brain)
    assert result.dtype == np.float32
    assert result[brain].mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-4)
    assert result[brain].std(axis=0) == pytest.approx(np.ones(4), abs=1e-4)
    assert not result[~brain].any()


def test_a_constant_channel_and_an_empty_brain_become_0_and_not_nan(image, brain):
    image[..., 2] = 7.0
    assert not zscore(image, brain)[..., 2].any()
    assert not zscore(image, np.zeros(image.shape[:3], bool)).any()


def test_each_channel_may_have_a_mask_of_its_own(image, brain):
    masks = np.stack([brain] * 4, axis=-1)
    masks[5:, ..., 1] = False
    result = zscore(image, masks)
    assert not result[5:, ..., 1].any()
    assert result[5:10, 2:8, 1:7, 0].all()
