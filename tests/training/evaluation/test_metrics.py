import numpy as np
import pytest

from training.evaluation.metrics import (
    boundary_faces,
    changed_ml,
    hd95,
    label_dice,
    mean_dice,
    region_dice,
    region_surface_dice,
    volume_errors,
)


def test_regions_are_sums_of_labels_and_hd95_is_in_millimeters_or_undefined():
    truth = np.array([0, 1, 2, 3, 3])
    prediction = np.array([0, 2, 2, 3, 1])
    scores = region_dice(prediction, truth)
    assert scores == {"WT": 1.0, "TC": pytest.approx(2 * 2 / (2 + 3)), "ET": pytest.approx(2 * 1 / (1 + 2))}
    assert label_dice(prediction, truth)["NCR"] == 0.0
    assert mean_dice([scores]) == pytest.approx(np.mean(list(scores.values())))
    one = np.zeros((40, 40, 40), bool)
    one[10:22, 10:22, 10:22] = True
    for spacing, distance in (((1.0, 1.0, 1.0), 3.0), ((2.0, 1.0, 1.0), 6.0)):
        assert hd95(one, np.roll(one, 3, axis=0), spacing) == pytest.approx(distance)
    other = one.copy()
    other[35, 35, 35] = True  # among the farthest five percent
    assert hd95(one, other, (1, 1, 1)) == 0.0
    empty = np.zeros_like(one)
    assert hd95(empty, empty, (1, 1, 1)) == 0.0
    assert np.isnan(hd95(empty, one, (1, 1, 1)))


def test_volume_errors_are_predicted_minus_true_and_undefined_in_percent_of_nothing():
    assert volume_errors(15.0, 10.0) == (5.0, 50.0)
    assert volume_errors(0.0, 8.0) == (-8.0, -100.0)
    assert volume_errors(2.0, 0.0) == (2.0, None)
    assert volume_errors(0.0, 0.0) == (0.0, None)


def test_what_a_correction_changed_is_measured_in_its_volume_and_at_the_surface_of_each_region():
    before = np.zeros((12, 12, 12), np.uint8)
    before[2:8, 2:8, 2:8] = 2
    before[4:6, 4:6, 4:6] = 3
    assert boundary_faces(before) == 6 * 6**2 + 6 * 2**2
    after = before.copy()
    after[4:6, 4:6, 4:6] = 1  # not enhancing after all
    assert changed_ml(before, after, 0.5) == 8 * 0.5
    assert region_surface_dice(before, after, (1, 1, 1)) == {"WT": 1.0, "TC": 1.0, "ET": 0.0}
