"""The calibration error, against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.calibration import Calibration, expected_calibration_error, near_tumor


def sure(labels: list[int], confidence: list[float]) -> np.ndarray:
    """Probabilities ``(x, 1, 1, 4)`` that say ``labels`` with these confidences, the rest shared by the others."""
    rows = []
    for label, share in zip(labels, confidence, strict=True):
        row = np.full(4, (1 - share) / 3)
        row[label] = share
        rows.append(row)
    return np.array(rows, np.float32).reshape(-1, 1, 1, 4)


def column(values: list[int]) -> np.ndarray:
    return np.array(values).reshape(-1, 1, 1)


def test_the_error_is_the_mean_distance_of_confidence_and_accuracy_weighted_by_voxels():
    # Two bins' worth: 0.9 three times, two of them right (|0.9 - 2/3| = 0.2333), and 0.5 once, right (0.5).
    probabilities = sure([0, 0, 1, 2], [0.9, 0.9, 0.9, 0.5])
    truth = column([0, 0, 2, 2])
    expected = (3 * abs(0.9 - 2 / 3) + 1 * abs(0.5 - 1.0)) / 4
    assert expected_calibration_error(probabilities, truth, truth >= 0) == pytest.approx(expected, abs=1e-6)


def test_who_is_always_sure_and_always_right_has_no_error_and_who_is_wrong_has_all_of_it():
    probabilities = sure([0, 1, 2], [1.0, 1.0, 1.0])
    brain = np.ones((3, 1, 1), bool)
    assert expected_calibration_error(probabilities, column([0, 1, 2]), brain) == 0
    assert expected_calibration_error(probabilities, column([1, 2, 3]), brain) == 1


def test_errors_in_one_bin_of_both_signs_cancel_and_in_two_bins_do_not():
    probabilities = sure([0, 0], [0.8, 0.6])
    truth, brain = column([1, 0]), np.ones((2, 1, 1), bool)
    assert expected_calibration_error(probabilities, truth, brain, bins=1) == pytest.approx(0.2, abs=1e-6)
    assert expected_calibration_error(probabilities, truth, brain, bins=10) == pytest.approx(0.6, abs=1e-6)


def test_voxels_outside_the_brain_do_not_count():
    probabilities = sure([0, 1], [1.0, 1.0])
    assert expected_calibration_error(probabilities, column([0, 0]), column([1, 0]) > 0) == 0


def test_cases_added_one_by_one_give_the_error_of_all_together():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), (8, 6, 5)).astype(np.float32)
    truth = rng.integers(0, 4, (8, 6, 5))
    brain = rng.random((8, 6, 5)) < 0.7
    streamed = Calibration()
    for half in (slice(0, 4), slice(4, 8)):
        streamed.add(probabilities[half], truth[half], brain[half])
    whole = expected_calibration_error(probabilities, truth, brain)
    assert streamed.ece() == pytest.approx(whole, abs=1e-6)
    assert streamed.cases == 2
    assert streamed.voxels() == brain.sum() == sum(row.voxels for row in streamed.bins())


def test_the_table_tells_confidence_and_accuracy_of_each_bin_and_none_of_empty_ones():
    calibration = Calibration(bins=4)
    calibration.add(sure([0, 0, 1], [0.5, 1.0, 0.7]), column([1, 0, 1]), np.ones((3, 1, 1), bool))
    table = calibration.bins()
    assert [(row.low, row.high, row.voxels) for row in table] == [
        (0.0, 0.25, 0),
        (0.25, 0.5, 1),
        (0.5, 0.75, 1),
        (0.75, 1.0, 1),
    ]
    assert (table[0].confidence, table[0].accuracy) == (None, None)
    assert (table[1].confidence, table[1].accuracy) == (0.5, 0.0)
    assert table[2].confidence == pytest.approx(0.7)
    assert (table[3].confidence, table[3].accuracy) == (1.0, 1.0)


def test_near_the_tumor_easy_background_does_not_hide_what_is_wrong():
    # A line of 100 voxels of 1 mm: truth at 0, nothing found, sure of that. 0-10 mm are near; one of those is wrong.
    labels = [0] * 100
    truth = column([1] + [0] * 99)
    calibration = Calibration()
    calibration.add(sure(labels, [1.0] * 100), truth, np.ones((100, 1, 1), bool))
    assert calibration.ece("brain") == pytest.approx(1 / 100)
    assert calibration.voxels("near_tumor") == 11
    assert calibration.ece("near_tumor") == pytest.approx(1 / 11)


def test_a_head_without_tumor_has_no_error_near_the_tumor():
    calibration = Calibration()
    calibration.add(sure([0, 0], [0.9, 0.9]), column([0, 0]), np.ones((2, 1, 1), bool))
    assert calibration.ece("near_tumor") is None
    assert calibration.ece("brain") == pytest.approx(0.1, abs=1e-6)


def test_what_was_found_where_nothing_is_counts_as_tumor_too():
    calibration = Calibration()
    calibration.add(sure([3] + [0] * 19, [1.0] * 20), column([0] * 20), np.ones((20, 1, 1), bool))
    assert calibration.voxels("near_tumor") == 11
    assert calibration.ece("near_tumor") == pytest.approx(1 / 11)


def test_near_is_measured_in_millimeters_along_every_axis():
    tumor = np.zeros((30, 30, 30), bool)
    tumor[15, 15, 15] = True
    near = near_tumor(tumor, (1.0, 2.0, 5.0))
    assert [int(near[:, 15, 15].sum()), int(near[15, :, 15].sum()), int(near[15, 15].sum())] == [21, 11, 5]
    assert near[15 + 6, 15 + 4, 15]  # 6 mm and 8 mm: 10 mm
    assert not near[15 + 7, 15 + 4, 15]
    assert not near_tumor(np.zeros((3, 3, 3), bool)).any()


def test_senseless_input_is_refused():
    probabilities, truth = sure([0, 0], [0.9, 0.9]), column([0, 0])
    with pytest.raises(ValueError, match="the brain is empty"):
        expected_calibration_error(probabilities, truth, truth > 0)
    with pytest.raises(ValueError, match="shapes differ"):
        expected_calibration_error(probabilities, truth[:1], truth >= 0)
    with pytest.raises(ValueError, match="shapes differ"):
        Calibration().add(probabilities, truth, (truth >= 0)[:1])
    with pytest.raises(ValueError, match="at least one bin"):
        Calibration(0)
