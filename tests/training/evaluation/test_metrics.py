"""Dice and HD95, checked by hand and against SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from training.evaluation.metrics import dice, hd95, label_dice, mean_dice, region_dice


def a_cube(shape=(20, 20, 20), corner=(5, 5, 5), side=6):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(c, c + side) for c in corner)] = True
    return mask


def test_dice_is_one_for_equal_masks_and_zero_for_disjoint_ones():
    assert dice(a_cube(), a_cube()) == 1.0
    assert dice(a_cube(corner=(0, 0, 0)), a_cube(corner=(10, 10, 10))) == 0.0


def test_dice_agrees_with_simpleitk():
    rng = np.random.default_rng(0)
    one, other = rng.random((12, 13, 14)) > 0.6, rng.random((12, 13, 14)) > 0.5
    measure = sitk.LabelOverlapMeasuresImageFilter()
    measure.Execute(sitk.GetImageFromArray(one.astype(np.uint8)), sitk.GetImageFromArray(other.astype(np.uint8)))
    assert dice(one, other) == pytest.approx(measure.GetDiceCoefficient(1))


def test_two_empty_masks_agree_and_one_empty_mask_does_not():
    empty = np.zeros((4, 4, 4), bool)
    assert dice(empty, empty) == 1.0
    assert dice(empty, ~empty) == 0.0
    assert hd95(empty, empty, (1, 1, 1)) == 0.0
    assert np.isnan(hd95(empty, ~empty, (1, 1, 1)))


def test_regions_are_the_sums_of_their_labels():
    truth = np.array([0, 1, 2, 3, 3])
    prediction = np.array([0, 2, 2, 3, 1])
    scores = region_dice(prediction, truth)
    assert scores["WT"] == 1.0
    assert scores["TC"] == pytest.approx(2 * 2 / (2 + 3))
    assert scores["ET"] == pytest.approx(2 * 1 / (1 + 2))
    assert label_dice(prediction, truth)["NCR"] == 0.0
    assert mean_dice([scores]) == pytest.approx(np.mean(list(scores.values())))


def test_hd95_of_a_shifted_cube_is_the_shift_in_millimeters():
    one, other = a_cube(corner=(4, 5, 5)), a_cube(corner=(7, 5, 5))
    assert hd95(one, other, (1.0, 1.0, 1.0)) == pytest.approx(3.0)
    assert hd95(one, other, (2.0, 1.0, 1.0)) == pytest.approx(6.0)


def test_hd95_forgives_the_farthest_twentieth():
    one = a_cube(shape=(40, 40, 40), corner=(10, 10, 10), side=12)
    other = one.copy()
    other[35, 35, 35] = True
    assert hd95(one, other, (1, 1, 1)) == 0.0
