"""The network: a four-level 3D U-Net in plain Keras 3.

Four levels of two convolutions and a max-pooling, a bottleneck, and four levels of upsampling with skip connections
(Cicek et al. 2016, doi:10.1007/978-3-319-46723-8_49). Batch normalization costs a third of group normalization on CPUs.
The network outputs *logits*, from which the loss is computed stably; :func:`with_softmax` adds the softmax for
prediction. It is fully convolutional: the sides of the input may be any multiples of :attr:`UNetConfig.stride`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from training.labels import NUM_CLASSES

if TYPE_CHECKING:
    import keras

#: Added to the variance in batch normalization; Keras's default.
EPSILON = 1e-3


class UNetConfig(BaseModel):
    """The architecture, stored in every model card.

    Attributes:
        channels: Input modalities, in the order of ``training.modalities.ROLES``.
        classes: Output classes, background included.
        base_filters: Filters at full resolution; doubled at each level.
        max_filters: Maximum number of filters.
        levels: Number of pooling layers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int = Field(4, ge=1)
    classes: int = Field(NUM_CLASSES, ge=2)
    base_filters: int = Field(16, ge=1, le=128)
    max_filters: int = Field(128, ge=1, le=1024)
    levels: int = Field(4, ge=1, le=6)

    @property
    def stride(self) -> int:
        """The sides of the input must be multiples of this number of voxels."""
        return int(2**self.levels)

    def filters(self, level: int) -> int:
        """Return the number of filters at ``level`` (0 is full resolution)."""
        return min(self.base_filters * 2**level, self.max_filters)


def _double_convolution(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    from keras import layers

    from training.network.batch_norm import BatchNormalization

    for index in (1, 2):
        x = layers.Conv3D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv{index}")(x)
        # Momentum 0.95, so that the statistics adapt within a few hundred steps.
        x = BatchNormalization(momentum=0.95, epsilon=EPSILON, name=f"{name}_norm{index}")(x)
        x = layers.Activation("relu", name=f"{name}_relu{index}")(x)
    return x


def build_unet(config: UNetConfig | None = None) -> keras.Model:
    """Build the network up to its logits.

    Args:
        config: The architecture; the default is the bundled model's.

    Returns:
        A model from ``(batch, x, y, z, channels)`` to float32 logits ``(batch, x, y, z, classes)``, built with the
        current mixed-precision policy.
    """
    import keras
    from keras import layers

    config = config or UNetConfig()

    # === Input ===
    inputs = keras.Input((None, None, None, config.channels), name="modalities")
    x = inputs

    # === Contracting path ===
    skips = []
    for level in range(config.levels):
        x = _double_convolution(x, config.filters(level), f"down{level}")
        skips.append(x)
        x = layers.MaxPooling3D(2, name=f"pool{level}")(x)
    x = _double_convolution(x, config.filters(config.levels), "bottom")

    # === Expanding path ===
    for level in reversed(range(config.levels)):
        x = layers.UpSampling3D(2, name=f"up{level}")(x)
        x = layers.Concatenate(name=f"skip{level}")([x, skips[level]])
        x = _double_convolution(x, config.filters(level), f"up{level}")
    logits = layers.Conv3D(config.classes, 1, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="unet3d")


def with_softmax(model: keras.Model) -> keras.Model:
    """Return a model that shares the weights of ``model`` and outputs class probabilities instead of logits."""
    import keras

    probabilities = keras.layers.Softmax(axis=-1, dtype="float32", name="probabilities")(model.output)
    return keras.Model(model.input, probabilities, name="unet3d_softmax")


def freeze_normalization(model: keras.Model) -> None:
    """Freeze batch normalization while the convolutions are trained.

    Retraining uses few cases in batches of one or two: their statistics would drift from those of whole brains, on
        which
    the network is used.
    """
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
