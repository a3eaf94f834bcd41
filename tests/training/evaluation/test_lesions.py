from collections.abc import Sequence

import numpy as np
import pytest

from training.evaluation.lesions import LesionScores, lesion_scores

MM = (1.0, 1.0, 1.0)
Corner = tuple[int, int, int]

#: Two cubes of 5 voxels, far from each other.
ONE, OTHER = (5, 5, 5), (25, 25, 25)


def cubes(*corners: Corner, size: Corner = (5, 5, 5)) -> np.ndarray:
    mask = np.zeros((40, 40, 40), bool)
    for x, y, z in corners:
        mask[x : x + size[0], y : y + size[1], z : z + size[2]] = True
    return mask


def scores(prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float] = MM) -> tuple[float, ...]:
    found = lesion_scores(prediction, truth, spacing)
    return found.dice, found.hd95_mm, found.found, found.missed, found.false


def test_a_missed_and_a_false_lesion_count_dice_0_and_hd95_374_beside_a_perfect_one():
    assert scores(cubes(ONE, OTHER), cubes(ONE, OTHER)) == (1.0, 0.0, 2, 0, 0)
    assert scores(cubes(ONE), cubes(ONE, OTHER)) == (0.5, 187.0, 1, 1, 0)
    assert scores(cubes(ONE, OTHER), cubes(ONE)) == (0.5, 187.0, 1, 0, 1)
    single = cubes(ONE)
    single[39, 0, 39] = True
    assert scores(single, cubes(ONE, OTHER)) == (pytest.approx(1 / 3), pytest.approx(2 * 374 / 3, abs=1e-3), 1, 1, 1)


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        ((), (), LesionScores(1.0, 0.0, 0, 0, 0)),
        ((ONE,), (), LesionScores(0.0, 374.0, 0, 0, 1)),
        ((), (ONE, OTHER), LesionScores(0.0, 374.0, 0, 2, 0)),
    ],
)
def test_empty_masks_have_known_scores(prediction, truth, expected):
    assert lesion_scores(cubes(*prediction), cubes(*truth), MM) == expected


def test_parts_of_the_truth_that_dilation_joins_are_one_lesion():
    # Three dilations from both sides fill a gap of six voxels, not one of seven.
    near, far = cubes(ONE, (16, 5, 5)), cubes(ONE, (17, 5, 5))
    assert scores(cubes(ONE), near)[0::2] == (pytest.approx(2 * 125 / (125 + 250)), 1, 0)
    assert scores(cubes(ONE), far) == (0.5, 187.0, 1, 1, 0)
    # Voxels that share a corner are connected without any dilation.
    assert scores(cubes(ONE, (10, 10, 10)), cubes(ONE, OTHER))[4] == 0


def test_a_part_of_the_prediction_belongs_to_each_lesion_whose_dilation_it_overlaps():
    bridge = cubes(ONE, size=(5, 5, 5)) | cubes((10, 6, 6), size=(9, 1, 1)) | cubes((19, 5, 5))
    truth = cubes(ONE, (19, 5, 5))
    assert scores(bridge, truth)[0::2] == (pytest.approx(2 * 125 / (125 + 259)), 2, 0)
    # Two voxels beside the lesion, within its dilation: found, without overlap, and not false.
    beside = scores(cubes((12, 5, 5)), cubes(ONE))
    assert beside == (0.0, pytest.approx(7.0), 1, 0, 0)
    assert scores(cubes((13, 5, 5)), cubes(ONE)) == (0.0, 374.0, 0, 1, 1)


def test_true_lesions_of_50_cubic_millimeters_do_not_count_whether_found_or_missed():
    tiny = cubes(OTHER, size=(5, 5, 2))
    assert scores(cubes(ONE), cubes(ONE) | tiny) == (1.0, 0.0, 1, 0, 0)
    assert scores(cubes(ONE, OTHER), cubes(ONE) | tiny) == (1.0, 0.0, 1, 0, 0)
    assert scores(cubes(), tiny) == (1.0, 0.0, 0, 0, 0)
    larger = tiny.copy()
    larger[25, 25, 27] = True
    assert scores(cubes(ONE), cubes(ONE) | larger) == (0.5, 187.0, 1, 1, 0)
    assert scores(cubes(), tiny, (1.0, 1.0, 1.1)) == (0.0, 374.0, 0, 1, 0)
    # A prediction has no threshold.
    assert scores(tiny, cubes())[4] == 1


def test_distances_within_a_lesion_are_in_millimeters():
    truth, prediction = cubes((10, 10, 10), size=(8, 8, 8)), cubes((12, 10, 10), size=(8, 8, 8))
    for spacing, distance in ((MM, 2.0), ((2.5, 1.0, 1.0), 5.0)):
        assert scores(prediction, truth, spacing)[:2] == (pytest.approx(0.75), pytest.approx(distance))
