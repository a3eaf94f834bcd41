import numpy as np
import pytest

from training.prediction.uncertainty import uncertainty

SHAPE = (8, 8, 8)
TUMOR = np.zeros(SHAPE, bool)
TUMOR[2:6, 2:6, 2:6] = True


def score(inside: float, outside: float, labels: np.ndarray = TUMOR, **changes: float) -> float:
    """Score an answer by the probability of tumor in each voxel, shared equally by the tumor classes."""
    tumor = np.where(TUMOR, inside, outside)
    tumor[6:8] = changes.get("around", outside)
    tumor[0] = changes.get("beyond", outside)
    probabilities = np.repeat(tumor[..., None] / 3, 4, axis=-1).astype(np.float32)
    probabilities[..., 0] = 1 - tumor
    brain = np.ones(SHAPE, bool)
    brain[0] = "beyond" not in changes
    return uncertainty(probabilities, 2 * labels.astype(np.uint8), brain)


def test_uncertainty_is_1_minus_the_expected_dice() -> None:
    assert score(1, 0) == pytest.approx(0, abs=1e-6)
    assert score(1, 0, beyond=0.5) == pytest.approx(0, abs=1e-6)  # outside the brain
    assert score(0.01, 0.01, np.zeros(SHAPE, bool)) == 1
    assert score(0.99, 0.01) < score(0.6, 0.01)
    assert score(0.99, 0.01) < score(0.99, 0.01, around=0.4)  # nearly reported
    rng = np.random.default_rng(1)
    truths = [rng.random(SHAPE) < np.where(TUMOR, 0.8, 0.1) for _ in range(200)]
    expected = [2 * np.count_nonzero(truth & TUMOR) / (np.count_nonzero(truth) + 64) for truth in truths]
    assert score(0.8, 0.1) == pytest.approx(1 - np.mean(expected), abs=0.01)
