from pathlib import Path

import numpy as np

from tests.training import rejected
from training.models.weights import average_weights, get_weights, load_weights, save_weights, set_weights
from training.network.unet import UNetConfig, build_unet

TINY = UNetConfig(base_filters=2, max_filters=8)


def test_saved_weights_give_the_same_answer_and_half_precision_keeps_the_statistics(tmp_path: Path):
    weights = get_weights(build_unet(UNetConfig(base_filters=8)))
    moving = next(key for key in weights if "moving_variance" in key)
    weights[moving] = weights[moving] + 70_000.0  # would be infinite in half precision
    full = save_weights(weights, tmp_path / "full.npz")
    half = save_weights(weights, tmp_path / "half.npz", half_precision=True)
    assert half.stat().st_size < 0.56 * full.stat().st_size
    np.testing.assert_array_equal(load_weights(half)[moving], weights[moving])
    image = np.random.default_rng(0).normal(size=(1, 32, 16, 16, 4)).astype(np.float32)
    one, other = build_unet(TINY), build_unet(TINY)
    path = save_weights(get_weights(one), tmp_path / "weights.npz")
    set_weights(other, load_weights(path))
    np.testing.assert_array_equal(one.predict_on_batch(image), other.predict_on_batch(image))
    path.write_bytes(path.read_bytes()[:-200])
    with rejected(r"weights\.npz cannot be read"):
        load_weights(path)
    weights = get_weights(build_unet(UNetConfig(base_filters=4, max_filters=8)))
    with rejected(r"down0_conv1/kernel has the shape \(3, 3, 3, 4, 2\)"):
        set_weights(build_unet(TINY), weights)
    one, other = {"layer/kernel": np.zeros(3, np.float32)}, {"layer/kernel": np.ones(3, np.float32)}
    np.testing.assert_allclose(average_weights(one, other)["layer/kernel"], 0.5)
