import numpy as np
import pytest

from training.learning.editing import SECONDS_PER_ML, SECONDS_PER_REGION, Editing, editing

MM = (1.0, 1.0, 1.0)


def cube(side: int, value: int = 2, first: int = 10, size: int = 48) -> np.ndarray:
    labels = np.zeros((size,) * 3, np.uint8)
    labels[(slice(first, first + side),) * 3] = value
    return labels


def seconds(answer: np.ndarray, submitted: np.ndarray) -> float:
    return editing(answer, submitted, MM).seconds


def test_equal_labels_and_a_boundary_within_the_tolerance_take_no_time():
    truth = cube(20)
    assert editing(truth, truth, MM) == Editing(0, 0.0)
    assert editing(np.zeros_like(truth), np.zeros_like(truth), MM) == Editing(0, 0.0)
    assert seconds(cube(22, first=9), truth) == 0


def test_drawing_from_nothing_costs_the_whole_surface_and_one_region():
    surface = 20**3 - 18**3
    found = editing(np.zeros_like(cube(20)), cube(20), MM)
    assert (found.regions, found.surface_ml) == (1, pytest.approx(surface / 1000))
    assert found.seconds == pytest.approx(SECONDS_PER_REGION + SECONDS_PER_ML * surface / 1000)
    half_as_thick = editing(np.zeros_like(cube(20)), cube(20), (1.0, 1.0, 0.5))
    assert half_as_thick.surface_ml == pytest.approx(found.surface_ml / 2)


def test_the_farther_the_boundary_the_larger_the_rest_and_the_more_regions_the_longer():
    truth = cube(20)
    shifted = [seconds(np.roll(truth, shift, axis=0), truth) for shift in (0, 2, 4, 8, 16)]
    assert shifted[:2] == [0, 0]
    assert shifted == sorted(shifted)
    assert shifted[2] > 0
    one, two = truth.copy(), truth.copy()
    one[40:46, 40:46, 40:46] = two[40:46, 40:46, 40:46] = 3
    two[40:46, 2:8, 40:46] = 3
    assert seconds(one, truth) == SECONDS_PER_REGION  # erased, not drawn
    assert seconds(two, truth) == 2 * SECONDS_PER_REGION
    assert 0 < seconds(two, truth) < seconds(np.zeros_like(truth), truth)


def test_a_wrong_label_costs_time_although_the_tumor_is_right():
    truth = cube(20)
    truth[15:25, 15:25, 15:25] = 1
    inside = cube(20)
    inside[15:25, 15:25, 15:25] = 3
    surface = 10**3 - 8**3
    found = editing(inside, truth, MM)
    assert (found.regions, found.surface_ml) == (1, pytest.approx(surface / 1000))
