import numpy as np
import pytest

from training.preparation.ranks import ranks


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_equal_values_are_ranked_in_their_order_also_negative_ones_and_both_zeros(dtype):
    rng = np.random.default_rng(0)
    values = rng.integers(-30, 30, 1000).astype(dtype) / (2 if dtype == np.float32 else 1)
    values[rng.random(1000) < 0.2] = -0.0 if dtype != np.int16 else 0
    found = ranks(values.astype(dtype))
    assert np.array_equal(np.argsort(found), np.argsort(values, kind="stable"))
    assert found.min() == 0
    assert found.max() < 1
    assert ranks(np.zeros(0, dtype)).size == 0
