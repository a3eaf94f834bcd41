import keras
import numpy as np
import pytest

from tests.training import rejected
from training.network.batch_norm import BatchNormalization, freeze_statistics, recompute_statistics

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


def two_layers() -> keras.Model:
    inputs = keras.Input((None, None, None, 3))
    x = BatchNormalization(momentum=0.9, name="first")(inputs)
    return keras.Model(inputs, BatchNormalization(momentum=0.9, name="second")(2 * x + 1))


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_recomputed_statistics_are_the_average_over_the_images_in_every_layer(share):
    model = two_layers()
    first, second = model.get_layer("first"), model.get_layer("second")
    second.trainable = False
    images = [IMAGE[0], 2 * IMAGE[1] - 3]
    recompute_statistics(model, iter(images), share=share)
    means = np.mean([image.mean(axis=(0, 1, 2)) for image in images], axis=0)
    variances = np.mean([image.var(axis=(0, 1, 2)) for image in images], axis=0)
    np.testing.assert_allclose(array(first.moving_mean), share * means, atol=1e-5)
    np.testing.assert_allclose(array(first.moving_variance), 1 - share + share * variances, rtol=1e-4)
    # its input is 2 * x + 1 of images normalized by their own statistics
    np.testing.assert_allclose(array(second.moving_mean), np.full(3, share), atol=1e-4)
    np.testing.assert_allclose(array(second.moving_variance), np.full(3, 1 - share + 4 * share), rtol=1e-2)
    assert [(layer.momentum, layer.trainable) for layer in (first, second)] == [(0.9, True), (0.9, False)]


def test_a_network_without_batch_normalization_has_nothing_to_recompute():
    inputs = keras.Input((None, None, None, 3))
    with rejected("no batch normalization", field="recompute_normalization"):
        recompute_statistics(keras.Model(inputs, 2 * inputs), [IMAGE[0]], share=0.5)


def test_frozen_statistics_stay_while_scale_and_offset_are_learned():
    model = two_layers()
    model.compile(optimizer=keras.optimizers.SGD(1e-2), loss="mse")
    target = np.zeros_like(IMAGE)
    model.fit(IMAGE, target, verbose=0)
    before = [array(variable) for layer in model.layers for variable in layer.weights]

    freeze_statistics(model)
    model.fit(IMAGE, target, verbose=0)

    after = [array(variable) for layer in model.layers for variable in layer.weights]
    names = [variable.name for layer in model.layers for variable in layer.weights]
    for name, old, new in zip(names, before, after, strict=True):
        assert np.array_equal(old, new) == name.startswith("moving"), name
