import keras
import numpy as np

from training.models.weights import get_weights
from training.network.unet import UNetConfig, build_unet, freeze_normalization, with_softmax

TINY = UNetConfig(base_filters=2, max_filters=8)


IMAGE = np.random.default_rng(0).normal(size=(1, 32, 16, 48, 4)).astype(np.float32)


def test_it_is_a_four_level_unet_with_float32_logits_whose_normalization_can_be_frozen():
    probabilities = with_softmax(build_unet(TINY)).predict_on_batch(IMAGE)
    assert probabilities.shape == (1, 32, 16, 48, 4)
    np.testing.assert_allclose(probabilities.sum(-1), 1.0, rtol=1e-5)
    kinds = [type(layer).__name__ for layer in build_unet(UNetConfig()).layers]
    expected = {"MaxPooling3D": 4, "UpSampling3D": 4, "Concatenate": 4, "Conv3D": 2 * 9 + 1}
    assert {kind: kinds.count(kind) for kind in expected} == expected
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_unet(TINY)
    finally:
        keras.config.set_dtype_policy(before)
    logits = model.predict_on_batch(IMAGE)
    assert (logits.shape, logits.dtype) == ((1, 32, 16, 48, 4), np.float32)
    assert np.isfinite(logits).all()
    model = build_unet(TINY)
    freeze_normalization(model)
    model.compile(optimizer="sgd", loss="mse")
    before = get_weights(model)
    model.train_on_batch(IMAGE, np.zeros((1, 32, 16, 48, 4), np.float32))
    after = get_weights(model)
    assert all(np.array_equal(before[key], after[key]) for key in before if "_norm" in key)
    assert not np.array_equal(before["logits/kernel"], after["logits/kernel"])
