"""The U-Net of :mod:`training.network.unet` as a graph of OpenVINO, built from its weights without Keras.

The same function with fewer operations. Batch normalization with fixed statistics is part of the convolution before it
(Jacob et al. 2018, arXiv:1712.05877, section 3.2). A convolution of an image that nearest-neighbor upsampling has
doubled sees 2x2x2 different voxels, not 27: it is a transposed convolution of stride 2, and the upsampled features,
the largest of the network, are never made. Together that leaves three quarters of the multiplications.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.models.weights import Weights, fitting

if TYPE_CHECKING:
    import openvino

    from training.network.unet import UNetConfig

#: ``epsilon`` of Keras's batch normalization.
_EPSILON = 1e-3


def build_graph(weights: Weights, config: UNetConfig) -> openvino.Model:
    """Build the network with a softmax.

    Args:
        weights: As :func:`training.models.weights.get_weights` returns them.
        config: The architecture.

    Returns:
        A model from float32 ``(1, x, y, z, channels)`` to probabilities ``(1, x, y, z, classes)``, float32; ``x``,
        ``y`` and ``z`` are multiples of the stride, and left open.

    Raises:
        InputError: If the weights belong to another architecture.
    """
    import openvino
    from openvino import opset13 as op

    inputs = op.parameter(openvino.PartialShape([1, -1, -1, -1, config.channels]), np.float32, name="modalities")
    x = op.transpose(inputs, op.constant(np.array([0, 4, 1, 2, 3])))  # OpenVINO computes with the channels first

    # === Contracting path ===
    skips = []
    channels = config.channels
    for level in range(config.levels):
        filters = config.filters(level)
        x = _double_convolution(x, weights, f"down{level}", (channels, filters))
        skips.append(x)
        x = op.max_pool(x, [2] * 3, [1] * 3, [0] * 3, [0] * 3, [2] * 3, "floor", "explicit", "i64", 0).output(0)
        channels = filters
    bottom = config.filters(config.levels)
    x = _double_convolution(x, weights, "bottom", (channels, bottom))
    channels = bottom

    # === Expanding path ===
    for level in reversed(range(config.levels)):
        filters = config.filters(level)
        kernel, offset = _folded(weights, f"up{level}", 1, (channels + filters, filters))
        upsampled = _transposed_convolution(x, of_upsampled(kernel[:, :channels]))
        # the convolution of both, concatenated, is the sum of their convolutions
        x = op.relu(op.add(upsampled, _add(_convolution(skips[level], kernel[:, channels:]), offset)))
        kernel, offset = _folded(weights, f"up{level}", 2, (filters, filters))
        x = op.relu(_add(_convolution(x, kernel), offset))
        channels = filters
    kernel = fitting(weights, "logits/kernel", (1, 1, 1, channels, config.classes)).transpose(4, 3, 0, 1, 2)
    x = _add(_convolution(x, kernel), fitting(weights, "logits/bias", (config.classes,)))
    x = op.transpose(op.softmax(x, 1), op.constant(np.array([0, 2, 3, 4, 1])))
    return openvino.Model([op.result(x)], [inputs], "unet3d")


def of_upsampled(kernel: np.ndarray) -> np.ndarray:
    """Return the kernel of the transposed convolution (stride 2, one voxel cropped) that equals a convolution.

    Along one axis, the output at ``2 i`` is ``k0 x[i-1] + (k1 + k2) x[i]``, and the one at ``2 i + 1`` is
    ``(k0 + k1) x[i] + k2 x[i+1]``.

    Args:
        kernel: ``(out, in, 3, 3, 3)``, of the convolution of an image upsampled by nearest neighbors, padded with 0.

    Returns:
        ``(in, out, 4, 4, 4)``, for the image before it is upsampled.
    """
    for axis in (2, 3, 4):
        first, middle, last = np.moveaxis(kernel, axis, 0)
        kernel = np.stack([last, middle + last, first + middle, first], axis=axis)
    return np.swapaxes(kernel, 0, 1)


def _double_convolution(x: openvino.Output, weights: Weights, name: str, channels: tuple[int, int]) -> openvino.Output:
    from openvino import opset13 as op

    for index, entering in ((1, channels[0]), (2, channels[1])):
        kernel, offset = _folded(weights, name, index, (entering, channels[1]))
        x = op.relu(_add(_convolution(x, kernel), offset))
    return x


def _folded(weights: Weights, name: str, index: int, channels: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel ``(out, in, 3, 3, 3)`` and offset ``(out,)`` of a convolution and its batch normalization."""
    kernel = fitting(weights, f"{name}_conv{index}/kernel", (3, 3, 3, *channels))
    gamma, beta, mean, variance = (
        fitting(weights, f"{name}_norm{index}/{variable}", channels[1:])
        for variable in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + _EPSILON)
    return (kernel * scale).transpose(4, 3, 0, 1, 2), beta - mean * scale


def _convolution(x: openvino.Output, kernel: np.ndarray) -> openvino.Node:
    from openvino import opset13 as op

    pad = [kernel.shape[-1] // 2] * 3
    return op.convolution(x, _constant(kernel), [1] * 3, pad, pad, [1] * 3)


def _transposed_convolution(x: openvino.Output, kernel: np.ndarray) -> openvino.Node:
    from openvino import opset13 as op

    return op.convolution_backprop_data(x, _constant(kernel), [2] * 3, None, [1] * 3, [1] * 3, [1] * 3)


def _add(x: openvino.Output, offset: np.ndarray) -> openvino.Node:
    from openvino import opset13 as op

    return op.add(x, _constant(offset[None, :, None, None, None]))


def _constant(values: np.ndarray) -> openvino.Node:
    from openvino import opset13 as op

    return op.constant(np.ascontiguousarray(values, np.float32))
