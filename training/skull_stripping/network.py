"""The two networks of deepbet in plain Keras 3: one finds the head's brain roughly, the other outlines it.

Both are the same LinkNet (Chaurasia and Culurciello 2017, doi:10.1109/VCIP.2017.8305148) with instance
normalization, published by Fisch et al. 2024 (doi:10.1016/j.compbiomed.2024.108845). ``docs/convert_deepbet.py`` turned
their weights into the files in ``weights/``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

#: The sides of the input must be multiples of this number of voxels.
STRIDE = 32
#: Filters of the four contracting levels, at a quarter of the input's resolution and below.
_FILTERS = (16, 32, 64, 128)
_EPSILON = 1e-5


def build_linknet() -> keras.Model:
    """Build the network.

    Returns:
        A model from ``(batch, x, y, z, 1)`` to float32 logits ``(batch, x, y, z, 1)``, above 0 inside the brain, built
        with the current mixed-precision policy. The axes run to R, A, S.
    """
    import keras
    from keras import layers

    inputs = keras.Input((None, None, None, 1), name="image")

    # === Contracting path ===
    x = layers.ZeroPadding3D(3, name="init_pad")(inputs)
    x = _normalized(layers.Conv3D(16, 7, strides=2, use_bias=False, name="init")(x))
    x = layers.ZeroPadding3D(1, name="pool_pad")(x)  # nothing is below 0
    x = layers.MaxPooling3D(3, 2, name="pool")(x)
    skips = []
    for level, filters in enumerate(_FILTERS):
        skips.append(x)
        x = _residual(x, filters, 2 if level else 1, f"down{level}_block1")
        x = _residual(x, filters, 1, f"down{level}_block2")

    # === Expanding path ===
    for level, skip in enumerate(reversed(skips)):
        filters = x.shape[-1] // 4
        x = _normalized(layers.Conv3D(filters, 1, use_bias=False, name=f"up{level}_conv1")(x))
        x = _normalized(_transposed(x, filters, 1 if level == 3 else 2, f"up{level}_transposed"))
        x = _normalized(layers.Conv3D(skip.shape[-1], 1, use_bias=False, name=f"up{level}_conv2")(x))
        x = layers.Add(name=f"up{level}_add")([x, skip])
    x = _normalized(_transposed(x, 8, 2, "out_transposed"))
    x = _normalized(layers.Conv3D(8, 3, padding="same", use_bias=False, name="out_conv")(x))
    logits = layers.Conv3DTranspose(1, 2, strides=2, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="linknet3d")


def _residual(x: keras.KerasTensor, filters: int, strides: int, name: str) -> keras.KerasTensor:
    """Two convolutions and a shortcut, which is a convolution where the shape changes."""
    from keras import layers

    shortcut = x
    if strides > 1:
        shortcut = layers.Conv3D(filters, 1, strides=strides, use_bias=False, name=f"{name}_shortcut")(x)
        shortcut = _normalized(shortcut, activation=False)
    x = layers.ZeroPadding3D(1, name=f"{name}_pad")(x)
    x = _normalized(layers.Conv3D(filters, 3, strides=strides, use_bias=False, name=f"{name}_conv1")(x))
    x = layers.Conv3D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv2")(x)
    x = layers.Add(name=f"{name}_add")([_normalized(x, activation=False), shortcut])
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _transposed(x: keras.KerasTensor, filters: int, strides: int, name: str) -> keras.KerasTensor:
    """A transposed convolution that multiplies the sides by ``strides``, aligned as PyTorch's with ``padding=1``."""
    from keras import layers

    x = layers.Conv3DTranspose(filters, 3, strides=strides, use_bias=False, name=name)(x)
    return layers.Cropping3D(((1, 0),) * 3 if strides == 2 else 1, name=f"{name}_crop")(x)


def _normalized(x: keras.KerasTensor, *, activation: bool = True) -> keras.KerasTensor:
    """Instance normalization without parameters (groups of one channel), then ReLU."""
    from keras import layers

    name = x._keras_history.operation.name  # the layer whose output it is
    x = layers.GroupNormalization(-1, epsilon=_EPSILON, center=False, scale=False, name=f"{name}_norm")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x) if activation else x
