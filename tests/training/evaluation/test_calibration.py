import numpy as np
import pytest

from training.evaluation.calibration import Calibration, near_tumor


def probabilities_of(labels: list[int], confidence: list[float]) -> np.ndarray:
    """Probabilities ``(x, 1, 1, 4)`` that predict ``labels`` with these confidences; other classes share the rest."""
    rows = np.repeat((1 - np.array(confidence, np.float32)[:, None]) / 3, 4, axis=1)
    rows[np.arange(len(labels)), labels] = confidence
    return rows.reshape(-1, 1, 1, 4)


def column(values: list[int]) -> np.ndarray:
    return np.array(values).reshape(-1, 1, 1)


def calibrated(labels: list[int], confidence: list[float], truth: list[int], **options: int) -> Calibration:
    calibration = Calibration(**options)
    calibration.add(probabilities_of(labels, confidence), column(truth), column(truth) >= 0)
    return calibration


@pytest.mark.parametrize(
    ("labels", "confidence", "truth", "bins", "expected"),
    [
        # Two bins: 0.9 three times, two of them right (|0.9 - 2/3|), and 0.5 once, right (0.5).
        ([0, 0, 1, 2], [0.9, 0.9, 0.9, 0.5], [0, 0, 2, 2], 15, (3 * abs(0.9 - 2 / 3) + abs(0.5 - 1.0)) / 4),
        ([0, 1, 2], [1.0, 1.0, 1.0], [0, 1, 2], 15, 0.0),
        ([0, 1, 2], [1.0, 1.0, 1.0], [1, 2, 3], 15, 1.0),
        # Errors of both signs cancel within a bin and add up across bins.
        ([0, 0], [0.8, 0.6], [1, 0], 1, 0.2),
        ([0, 0], [0.8, 0.6], [1, 0], 10, 0.6),
        # Voxels outside the brain (truth -1 here) do not count.
        ([0, 1], [1.0, 1.0], [0, -1], 15, 0.0),
    ],
)
def test_the_error_is_the_voxel_weighted_distance_of_confidence_and_accuracy(labels, confidence, truth, bins, expected):
    assert calibrated(labels, confidence, truth, bins=bins).ece() == pytest.approx(expected, abs=1e-6)


def test_cases_added_one_by_one_give_the_error_of_all_together_and_a_table_per_bin():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(4), (8, 6, 5)).astype(np.float32)
    truth, brain = rng.integers(0, 4, (8, 6, 5)), rng.random((8, 6, 5)) < 0.7
    streamed, whole = Calibration(), Calibration()
    for half in (slice(0, 4), slice(4, 8)):
        streamed.add(probabilities[half], truth[half], brain[half])
    whole.add(probabilities, truth, brain)
    assert (streamed.ece(), streamed.cases) == (pytest.approx(whole.ece(), abs=1e-6), 2)
    assert streamed.voxels() == brain.sum() == sum(row.voxels for row in streamed.bins())
    table = calibrated([0, 0, 1], [0.5, 1.0, 0.7], [1, 0, 1], bins=4).bins()
    assert [(row.low, row.high) for row in table] == [(0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)]
    assert [(row.voxels, row.accuracy) for row in table] == [(0, None), (1, 0.0), (1, 1.0), (1, 1.0)]
    assert [row.confidence for row in table] == [None, 0.5, pytest.approx(0.7), 1.0]


@pytest.mark.parametrize(("labels", "truth"), [([0] * 100, [1] + [0] * 99), ([3] + [0] * 99, [0] * 100)])
def test_near_a_missed_or_a_falsely_found_tumor_the_easy_background_is_left_out(labels, truth):
    calibration = calibrated(labels, [1.0] * 100, truth)
    assert calibration.ece("brain") == pytest.approx(1 / 100)
    assert calibration.voxels("near_tumor") == 11  # voxels of 1 mm, 0 to 10 mm away
    assert calibration.ece("near_tumor") == pytest.approx(1 / 11)
    healthy = calibrated([0, 0], [0.9, 0.9], [0, 0])
    assert (healthy.ece("near_tumor"), healthy.ece("brain")) == (None, pytest.approx(0.1, abs=1e-6))


def test_distance_to_the_tumor_is_measured_in_millimeters_and_invalid_input_rejected():
    tumor = np.zeros((30, 30, 30), bool)
    tumor[15, 15, 15] = True
    near = near_tumor(tumor, (1.0, 2.0, 5.0))
    assert [int(near[:, 15, 15].sum()), int(near[15, :, 15].sum()), int(near[15, 15].sum())] == [21, 11, 5]
    assert near[15 + 6, 15 + 4, 15]  # 6 mm and 8 mm: 10 mm
    assert not near[15 + 7, 15 + 4, 15]
    assert not near_tumor(np.zeros((3, 3, 3), bool)).any()
    truth = column([0, 0])
    for shorter in ((truth[:1], truth >= 0), (truth, (truth >= 0)[:1])):
        with pytest.raises(ValueError, match="shapes differ"):
            Calibration().add(probabilities_of([0, 0], [0.9, 0.9]), *shorter)
    with pytest.raises(ValueError, match="at least one bin"):
        Calibration(0)
