import keras
import numpy as np
import pytest

from training.network.batch_norm import BatchNormalization

SHAPE = (2, 6, 5, 4, 3)
array = keras.ops.convert_to_numpy


def layer_of(kind: type[keras.layers.BatchNormalization], policy: str) -> keras.layers.BatchNormalization:
    layer = kind(momentum=0.9, dtype=policy)
    layer.build((None, *SHAPE[1:]))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(0.5, 2, 3), rng.normal(0, 1, 3), rng.normal(0, 1, 3), rng.uniform(0.5, 2, 3)])
    return layer


IMAGE = (np.random.default_rng(0).standard_normal(SHAPE) * 3 + 1).astype(np.float32)


@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 3e-2)])
@pytest.mark.parametrize("training", [True, False])
def test_results_and_statistics_match_keras(policy, tolerance, training):
    ours, keras_own = layer_of(BatchNormalization, policy), layer_of(keras.layers.BatchNormalization, policy)
    results = [array(keras.ops.cast(layer(IMAGE, training=training), "float32")) for layer in (ours, keras_own)]
    np.testing.assert_allclose(results[0], results[1], atol=tolerance * 5, rtol=tolerance)
    for mine, theirs in zip(ours.get_weights(), keras_own.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=tolerance, rtol=tolerance)
    described = [[(w.name, tuple(w.shape), w.trainable) for w in layer.weights] for layer in (ours, keras_own)]
    assert described[0] == described[1]


def test_gradients_match_keras_and_a_frozen_layer_neither_learns_nor_uses_batch_statistics():
    layer = layer_of(BatchNormalization, "float32")
    before = layer.get_weights()
    layer.trainable = False
    np.testing.assert_allclose(array(layer(IMAGE, training=True)), array(layer(IMAGE, training=False)), rtol=1e-6)
    for mine, theirs in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    if keras.backend.backend() != "tensorflow":
        pytest.skip("other backends use Keras's own layer")
    import tensorflow as tf

    found = []
    for kind in (BatchNormalization, keras.layers.BatchNormalization):
        layer, x = layer_of(kind, "float32"), tf.constant(IMAGE)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True) ** 3)
        found.append(tape.gradient(loss, [x, layer.gamma.value, layer.beta.value]))
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3)
