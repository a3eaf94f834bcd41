"""Batch normalization (Ioffe and Szegedy 2015, arXiv:1502.03167) as one fused operation of TensorFlow.

Keras 3 composes it of float32 element-wise operations, which take 40 % of a training step of this network on CPUs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from training.errors import InputError


class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer with the same weights and, up to rounding, the same results; fused with TensorFlow.

    For channels-last input of at least three axes. Other backends use Keras's implementation.

    Attributes:
        statistics_frozen: Normalize with the moving statistics and leave them alone in training as well, while scale
            and offset are still learned. A function that Keras has compiled does not see a change.
    """

    statistics_frozen = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalize ``inputs``; a frozen layer keeps its statistics, as in Keras."""
        training = bool(training) and not self.statistics_frozen
        if keras.backend.backend() != "tensorflow" or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        shape = tf.shape(inputs)
        # The operation requires four axes; any split of the voxels works.
        flat = tf.reshape(inputs, (shape[0], shape[1], -1, inputs.shape[-1]))
        learning = training and self.trainable
        scale, offset = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        none = tf.zeros((0,))
        result, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=flat,
            scale=scale,
            offset=offset,
            mean=none if learning else tf.convert_to_tensor(self.moving_mean),
            variance=none if learning else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=learning,
        )
        if learning:
            # The operation returns the unbiased variance; Keras averages the biased one.
            count = tf.cast(tf.size(flat) // flat.shape[-1], tf.float32)
            variance = variance * ((count - 1.0) / count)
            self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1.0 - self.momentum))
            self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1.0 - self.momentum))
        return tf.reshape(result, shape)


def freeze_statistics(model: keras.Model) -> None:
    """Freeze the statistics of batch normalization of a compiled model, between two epochs of its training."""
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            layer.statistics_frozen = True
    model.make_train_function(force=True)


def recompute_statistics(model: keras.Model, images: Iterable[np.ndarray], *, share: float) -> None:
    """Replace a share of the moving statistics by those of ``images``, without labels.

    The images pass through the network one by one, each normalized by its own statistics, whose average is taken
    ("precise" batch normalization, Wu and Johnson 2021, arXiv:2105.07576). Fine-tuning from statistics of another kind
    of images would have to undo them first.

    Args:
        model: The network; its weights stay as they are.
        images: Prepared cases ``(x, y, z, channel)`` float32.
        share: From 0 (keep the present statistics) to 1 (forget them).

    Raises:
        InputError: If the network has no batch normalization.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not layers:
        raise InputError(
            "This network has no batch normalization to recompute. Set recompute_normalization to 0.",
            field="recompute_normalization",
        )
    kept = [(layer, layer.momentum, layer.trainable) for layer in layers]
    statistics = [variable for layer in layers for variable in (layer.moving_mean, layer.moving_variance)]
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in statistics]
    total = [np.zeros(array.shape, np.float64) for array in before]
    count = 0
    try:
        for layer in layers:
            layer.momentum, layer.trainable = 0.0, True  # the statistics become those of the image
        for image in images:
            model(image[None], training=True)
            count += 1
            for sum_, variable in zip(total, statistics, strict=True):
                sum_ += keras.ops.convert_to_numpy(variable)
    finally:
        for layer, momentum, trainable in kept:
            layer.momentum, layer.trainable = momentum, trainable
    for variable, old, sum_ in zip(statistics, before, total, strict=True):
        variable.assign(((1 - share) * old + share * sum_ / count if count else old).astype(np.float32))
