"""The network: a four-level 3D U-Net in plain Keras 3.

Four levels of two convolutions and a max-pooling, a bottom, and four levels of upsampling that meet the skip
connections (Cicek et al. 2016, doi:10.1007/978-3-319-46723-8_49), with batch normalization: on CPUs it is a
third of the cost of group normalization. The body ends in *logits*, from which the loss is computed stably;
:func:`with_softmax` puts the softmax on top for prediction. The network is fully convolutional: any box whose
sides are multiples of :attr:`UNetConfig.stride` goes through whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from training.labels import NUM_CLASSES

if TYPE_CHECKING:
    import keras


class UNetConfig(BaseModel):
    """What defines the network, stored in every model card.

    Attributes:
        channels: Input modalities, in the order of ``training.modalities.ROLES``.
        classes: Output classes, background included.
        base_filters: Filters at full resolution; doubled at each level.
        max_filters: No layer has more filters than this.
        levels: Number of poolings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int = Field(4, ge=1)
    classes: int = Field(NUM_CLASSES, ge=2)
    base_filters: int = Field(16, ge=1, le=128)
    max_filters: int = Field(128, ge=1, le=1024)
    levels: int = Field(4, ge=1, le=6)

    @property
    def stride(self) -> int:
        """Sides of an input box must be multiples of this many voxels."""
        return int(2**self.levels)

    def filters(self, level: int) -> int:
        """Return the number of filters at ``level`` (0 is full resolution)."""
        return min(self.base_filters * 2**level, self.max_filters)


def _double_convolution(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    from keras import layers

    from training.network.batch_norm import BatchNormalization

    for index in (1, 2):
        x = layers.Conv3D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv{index}")(x)
        # Momentum 0.95: a run of some hundred steps must be able to move the statistics.
        x = BatchNormalization(momentum=0.95, name=f"{name}_norm{index}")(x)
        x = layers.Activation("relu", name=f"{name}_relu{index}")(x)
    return x


def build_unet(config: UNetConfig | None = None) -> keras.Model:
    """Build the network up to its logits.

    Args:
        config: The architecture; the default is the bundled model's.

    Returns:
        A model from ``(batch, x, y, z, channels)`` to float32 logits ``(batch, x, y, z, classes)``. It is built
        under the current mixed-precision policy; the logits are float32 under any.
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
    """Return a model that shares the weights of ``model`` and answers class probabilities instead of logits."""
    import keras

    probabilities = keras.layers.Softmax(axis=-1, dtype="float32", name="probabilities")(model.output)
    return keras.Model(model.input, probabilities, name="unet3d_softmax")


def freeze_normalization(model: keras.Model) -> None:
    """Keep the batch normalization's statistics and scales as they are while the convolutions learn.

    A retraining sees few cases in batches of one or two: its batch statistics would drift from those of whole
    brains, on which the network is used.
    """
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
