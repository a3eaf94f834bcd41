"""The network: its shape, its precision, and that weights survive a file."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from training.errors import InputError
from training.models.weights import get_weights, load_weights, mean_of, save_weights, set_weights
from training.network.unet import UNetConfig, build_unet, freeze_normalization, with_softmax

TINY = UNetConfig(base_filters=2, max_filters=8)


@pytest.fixture
def an_image():
    return np.random.default_rng(0).normal(size=(1, 32, 16, 48, 4)).astype(np.float32)


def test_the_output_has_the_size_of_the_input_and_one_channel_per_class(an_image):
    assert build_unet(TINY).predict_on_batch(an_image).shape == (1, 32, 16, 48, 4)


def test_the_softmax_sums_to_one_everywhere(an_image):
    probabilities = with_softmax(build_unet(TINY)).predict_on_batch(an_image)
    np.testing.assert_allclose(probabilities.sum(-1), 1.0, rtol=1e-5)


def test_it_is_a_four_level_unet_of_the_named_layers():
    model = build_unet(UNetConfig())
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("MaxPooling3D") == 4
    assert kinds.count("UpSampling3D") == 4
    assert kinds.count("Concatenate") == 4
    assert kinds.count("Conv3D") == 2 * 9 + 1


def test_logits_are_float32_under_mixed_precision(an_image):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_unet(TINY)
    finally:
        keras.config.set_dtype_policy(before)
    logits = model.predict_on_batch(an_image)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


def test_weights_saved_and_loaded_answer_the_same(tmp_path: Path, an_image):
    one, other = build_unet(TINY), build_unet(TINY)
    set_weights(other, load_weights(save_weights(get_weights(one), tmp_path / "weights.npz")))
    np.testing.assert_array_equal(one.predict_on_batch(an_image), other.predict_on_batch(an_image))


def test_half_precision_halves_the_file_and_keeps_the_statistics_exact(tmp_path: Path):
    weights = get_weights(build_unet(UNetConfig(base_filters=8)))
    moving = next(key for key in weights if "moving_variance" in key)
    weights[moving] = weights[moving] + 70_000.0  # would be infinite in half precision
    full = save_weights(weights, tmp_path / "full.npz")
    half = save_weights(weights, tmp_path / "half.npz", half_precision=True)
    assert half.stat().st_size < 0.56 * full.stat().st_size
    np.testing.assert_array_equal(load_weights(half)[moving], weights[moving])


def test_weights_of_another_architecture_are_refused_by_name_and_shape():
    weights = get_weights(build_unet(UNetConfig(base_filters=4, max_filters=8)))
    with pytest.raises(InputError, match=r"down0_conv1/kernel has the shape \(3, 3, 3, 4, 2\)"):
        set_weights(build_unet(TINY), weights)


def test_a_damaged_weight_file_is_named(tmp_path: Path):
    path = save_weights(get_weights(build_unet(TINY)), tmp_path / "weights.npz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"weights\.npz cannot be read"):
        load_weights(path)


def test_frozen_normalization_does_not_move_in_training(an_image):
    model = build_unet(TINY)
    freeze_normalization(model)
    model.compile(optimizer="sgd", loss="mse")
    before = get_weights(model)
    model.train_on_batch(an_image, np.zeros((1, 32, 16, 48, 4), np.float32))
    after = get_weights(model)
    assert all(np.array_equal(before[key], after[key]) for key in before if "_norm" in key)
    assert not np.array_equal(before["logits/kernel"], after["logits/kernel"])


def test_the_mean_of_two_weights_lies_halfway():
    one, other = {"layer/kernel": np.zeros(3, np.float32)}, {"layer/kernel": np.ones(3, np.float32)}
    np.testing.assert_allclose(mean_of(one, other)["layer/kernel"], 0.5)
