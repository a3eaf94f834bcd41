"""The U-Net of :mod:`training.network.unet` as a graph of OpenVINO, built from its weights without Keras.

The same function with fewer operations. Batch normalization with fixed statistics is part of the convolution before it
(Jacob et al. 2018, arXiv:1712.05877, section 3.2). A convolution of an image that nearest-neighbor upsampling has
doubled sees 2x2x2 different voxels, not 27: it is a transposed convolution of stride 2, and the upsampled features,
the largest of the network, are never made. Together that leaves three quarters of the multiplications.

With 8 bits, each channel is scaled to 0-1 by the range that its batch normalization tells, without data (Nagel et al.
2019, arXiv:1906.04721); the scales are part of the kernels. Kernels have a scale per output channel. The image and the
logits stay float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.models.weights import Weights, fitting
from training.network.unet import EPSILON, UNetConfig

if TYPE_CHECKING:
    import openvino

#: Upper end of a channel's 8-bit range, in standard deviations of its normalized values above their mean. Measured on
#: patients: with 8 the tails are cut off, with 24 the steps become coarse; both change the segmentation.
_RANGE = 16.0


@dataclass(frozen=True)
class _Features:
    """Values inside the network.

    Attributes:
        node: ``(1, channel, x, y, z)``, each channel divided by its range.
        range: ``(channel,)``; 1 unless they are quantized.
    """

    node: openvino.Node
    range: np.ndarray


def build_graph(weights: Weights, config: UNetConfig, *, eight_bits: bool = False) -> openvino.Model:
    """Build the network with a softmax.

    Args:
        weights: As :func:`training.models.weights.get_weights` returns them.
        config: The architecture.
        eight_bits: Quantize kernels and features to 8 bits.

    Returns:
        A model from float32 ``(1, x, y, z, channels)`` to probabilities ``(1, x, y, z, classes)``, float32; ``x``,
        ``y`` and ``z`` are multiples of the stride, and left open.

    Raises:
        InputError: If the weights belong to another architecture.
    """
    import openvino
    from openvino import opset13 as op

    build = _Builder(weights, eight_bits)
    inputs = op.parameter(openvino.PartialShape([1, -1, -1, -1, config.channels]), np.float32, name="modalities")
    # OpenVINO computes with the channels first
    image = op.transpose(inputs, op.constant(np.array([0, 4, 1, 2, 3])))
    x = _Features(image, np.ones(config.channels, np.float32))

    # === Contracting path ===
    skips = []
    for level in range(config.levels):
        x = build.normalized(x, config.filters(level), f"down{level}", 1, image=level == 0)
        x = build.normalized(x, config.filters(level), f"down{level}", 2)
        skips.append(x)
        pooled = op.max_pool(x.node, [2] * 3, [1] * 3, [0] * 3, [0] * 3, [2] * 3, "floor", "explicit", "i64", 0)
        x = _Features(pooled.output(0), x.range)
    for index in (1, 2):
        x = build.normalized(x, config.filters(config.levels), "bottom", index)

    # === Expanding path ===
    for level in reversed(range(config.levels)):
        x = build.joined(x, skips[level], config.filters(level), f"up{level}")
        x = build.normalized(x, config.filters(level), f"up{level}", 2)
    probabilities = op.softmax(build.logits(x, config.classes), 1)
    result = op.result(op.transpose(probabilities, op.constant(np.array([0, 2, 3, 4, 1]))))
    return openvino.Model([result], [inputs], "unet3d")


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


class _Builder:
    """Builds the parts of the network.

    Args:
        weights: Of all of them.
        eight_bits: Quantize kernels and features.
    """

    def __init__(self, weights: Weights, eight_bits: bool) -> None:
        self._weights = weights
        self._eight_bits = eight_bits

    def normalized(self, x: _Features, filters: int, name: str, index: int, *, image: bool = False) -> _Features:
        """Return a convolution with batch normalization and ReLU; the kernel for an image is not quantized."""
        kernel, offset, limits = self._folded(name, index, x.range, filters)
        return self._activated(_add(self._convolution(x.node, kernel, exact=image), offset), limits)

    def joined(self, x: _Features, skip: _Features, filters: int, name: str) -> _Features:
        """Return the first convolution of a level, of the upsampled ``x`` and ``skip``."""
        from openvino import opset13 as op

        kernel, offset, limits = self._folded(name, 1, np.concatenate([x.range, skip.range]), filters)
        below = len(x.range)
        transposed = self._constant(of_upsampled(kernel[:, :below]), output=1)
        upsampled = op.convolution_backprop_data(x.node, transposed, [2] * 3, None, [1] * 3, [1] * 3, [1] * 3)
        # the convolution of both, concatenated, is the sum of their convolutions
        return self._activated(op.add(upsampled, _add(self._convolution(skip.node, kernel[:, below:]), offset)), limits)

    def logits(self, x: _Features, classes: int) -> openvino.Node:
        """Return the logits."""
        kernel = fitting(self._weights, "logits/kernel", (1, 1, 1, len(x.range), classes))
        kernel = (kernel * x.range[:, None]).transpose(4, 3, 0, 1, 2)
        return _add(self._convolution(x.node, kernel, exact=True), fitting(self._weights, "logits/bias", (classes,)))

    def _folded(
        self, name: str, index: int, entering: np.ndarray, filters: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a convolution and its batch normalization as one, for scaled features.

        Args:
            name: Of the level.
            index: Of the convolution, 1 or 2.
            entering: Ranges of its input channels.
            filters: Number of its output channels.

        Returns:
            Kernel ``(out, in, 3, 3, 3)``, offset ``(out,)`` and ranges ``(out,)`` of what they give.
        """
        kernel = fitting(self._weights, f"{name}_conv{index}/kernel", (3, 3, 3, len(entering), filters))
        gamma, beta, mean, variance = (
            fitting(self._weights, f"{name}_norm{index}/{variable}", (filters,))
            for variable in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / np.sqrt(variance + EPSILON)
        limits = np.maximum(beta + _RANGE * np.abs(gamma), 1e-3) if self._eight_bits else np.ones_like(beta)
        kernel = kernel * entering[:, None] * (scale / limits)
        return kernel.transpose(4, 3, 0, 1, 2), (beta - mean * scale) / limits, limits

    def _activated(self, x: openvino.Node, limits: np.ndarray) -> _Features:
        from openvino import opset13 as op

        x = op.relu(x)
        if self._eight_bits:
            low, high = op.constant(np.zeros((1,) * 5, np.float32)), op.constant(np.ones((1,) * 5, np.float32))
            x = op.fake_quantize(x, low, high, low, high, 256)
        return _Features(x, limits)

    def _convolution(self, x: openvino.Node, kernel: np.ndarray, *, exact: bool = False) -> openvino.Node:
        from openvino import opset13 as op

        pad = [kernel.shape[-1] // 2] * 3
        return op.convolution(x, self._constant(kernel, exact=exact), [1] * 3, pad, pad, [1] * 3)

    def _constant(self, kernel: np.ndarray, *, output: int = 0, exact: bool = False) -> openvino.Node:
        """Return a kernel as a constant, quantized for each channel of the axis ``output`` unless it is exact."""
        from openvino import opset13 as op

        if exact or not self._eight_bits:
            return op.constant(np.ascontiguousarray(kernel, np.float32))
        others = tuple(axis for axis in range(5) if axis != output)
        step = np.maximum(np.abs(kernel).max(axis=others, keepdims=True), np.finfo(np.float32).tiny * 127) / 127
        return op.multiply(
            op.convert(op.constant(np.rint(kernel / step).astype(np.int8)), "f32"), op.constant(step.astype(np.float32))
        )


def _add(x: openvino.Node, offset: np.ndarray) -> openvino.Node:
    from openvino import opset13 as op

    return op.add(x, op.constant(np.ascontiguousarray(offset[None, :, None, None, None], np.float32)))
