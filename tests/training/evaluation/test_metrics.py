"""HD95 and Dice by region, checked by hand."""

import numpy as np
import pytest

from training.evaluation.metrics import hd95, label_dice, mean_dice, region_dice


def a_cube(corner, shape=(20, 20, 20), side=6):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(c, c + side) for c in corner)] = True
    return mask


def test_regions_are_the_sums_of_their_labels():
    truth = np.array([0, 1, 2, 3, 3])
    prediction = np.array([0, 2, 2, 3, 1])
    scores = region_dice(prediction, truth)
    assert scores == {"WT": 1.0, "TC": pytest.approx(2 * 2 / (2 + 3)), "ET": pytest.approx(2 * 1 / (1 + 2))}
    assert label_dice(prediction, truth)["NCR"] == 0.0
    assert mean_dice([scores]) == pytest.approx(np.mean(list(scores.values())))


def test_hd95_of_a_shifted_cube_is_the_shift_in_millimeters():
    one, other = a_cube((4, 5, 5)), a_cube((7, 5, 5))
    assert hd95(one, other, (1.0, 1.0, 1.0)) == pytest.approx(3.0)
    assert hd95(one, other, (2.0, 1.0, 1.0)) == pytest.approx(6.0)


def test_hd95_ignores_the_farthest_five_percent_and_is_undefined_for_one_empty_mask():
    one = a_cube((10, 10, 10), shape=(40, 40, 40), side=12)
    other = one.copy()
    other[35, 35, 35] = True
    assert hd95(one, other, (1, 1, 1)) == 0.0
    empty = np.zeros_like(one)
    assert hd95(empty, empty, (1, 1, 1)) == 0.0
    assert np.isnan(hd95(empty, one, (1, 1, 1)))
