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


def test_inside_the_brain_each_channel_has_mean_0_and_deviation_1(image, brain):
    result = zscore(image, brain)
    assert result.dtype == np.float32
    for channel in range(4):
        assert result[brain][:, channel].mean() == pytest.approx(0.0, abs=1e-4)
        assert result[brain][:, channel].std() == pytest.approx(1.0, abs=1e-4)


def test_outside_the_brain_is_exactly_0_whatever_was_there(image, brain):
    assert not zscore(image, brain)[~brain].any()


def test_a_constant_channel_becomes_0_and_not_nan(image, brain):
    image[..., 2] = 7.0
    assert not zscore(image, brain)[..., 2].any()


def test_an_empty_brain_gives_zeros(image):
    assert not zscore(image, np.zeros(image.shape[:3], bool)).any()


def test_each_channel_may_have_a_brain_of_its_own(image, brain):
    masks = np.stack([brain] * 4, axis=-1)
    masks[5:, ..., 1] = False
    result = zscore(image, masks)
    assert not result[5:, ..., 1].any()
    assert result[5:10, 2:8, 1:7, 0].all()
