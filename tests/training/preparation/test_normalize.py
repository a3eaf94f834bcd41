import numpy as np
import pytest

from tests import synthetic
from training.preparation.normalize import without_outliers, zscore

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


TISSUE = synthetic.brain(synthetic.brats_grid())
HEAD = np.where(TISSUE, synthetic.head(synthetic.brats_grid(), "t1ce").data, 0).astype(np.float32)


def test_an_image_without_outliers_is_returned_as_it_is():
    for data in (HEAD, HEAD * -3.0 + 5000.0, np.where(TISSUE, 7.0, 0.0)):
        assert without_outliers(data, TISSUE) == (data, None)
    assert without_outliers(HEAD, np.zeros_like(TISSUE)) == (HEAD, None)


@pytest.mark.parametrize("share", [1e-4, 1e-3, 2e-3])
@pytest.mark.parametrize("value", [1e6, -1e6, 3e38, 32767.0])
def test_outliers_become_like_the_values_around_them_and_move_the_normalization_by_less_than_1_percent(share, value):
    data, tissue = HEAD.copy(), TISSUE.copy()
    where = np.random.default_rng(0).choice(data.size, max(8, int(share * data.size)), replace=False)
    data.ravel()[where] = value
    tissue.ravel()[where] = True  # as they are found
    cleaned, outliers = without_outliers(data, tissue)
    assert outliers is not None
    assert np.array_equal(np.flatnonzero(outliers), np.sort(where))
    assert np.array_equal(cleaned[~outliers], HEAD[~outliers])
    before, after = (zscore(each[..., None], TISSUE)[..., 0] for each in (HEAD, cleaned))
    assert np.abs(after - before)[TISSUE & ~outliers].max() < 0.01 * np.abs(before).max()


def test_a_cluster_of_outliers_is_filled_from_around_it():
    data = HEAD.copy()
    data[38:43, 18:23, 18:23] = 1e6
    cleaned, outliers = without_outliers(data, TISSUE)
    assert outliers is not None
    assert outliers.sum() == 125
    assert np.abs(cleaned - HEAD)[outliers].max() < 100.0
    data[8:56, 8:64, 8:52][TISSUE[8:56, 8:64, 8:52]] = 1e6  # not outliers any more: nothing is known to replace them
    assert without_outliers(data, TISSUE) == (data, None)
