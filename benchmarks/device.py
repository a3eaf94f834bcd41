"""What a device can do at best, and what a training step asks of it."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.network.unet import UNetConfig


@dataclass(frozen=True)
class DeviceFacts:
    """The device that Keras computes on: its backend, the name of the first device, and the dtype policy used there."""

    backend: str
    name: str
    precision: str

    @classmethod
    def of_this_machine(cls) -> DeviceFacts:
        """Ask the backend."""
        from training.hardware import best_policy

        precision = best_policy()
        import keras

        backend = keras.backend.backend()
        if backend == "jax":
            import jax

            name = jax.devices()[0].device_kind
        else:
            import tensorflow as tf

            cards = tf.config.list_physical_devices("GPU")
            name = tf.config.experimental.get_device_details(cards[0]).get("device_name", "GPU") if cards else "cpu"
        return cls(backend, name, precision)


def matmul_ceiling(side: int, precision: str, repeats: int = 8) -> float:
    """Return the TFLOP/s of the product of two square matrices on one device, the best of five measurements.

    Args:
        side: Rows and columns.
        precision: Keras dtype policy; decides the dtype of the matrices.
        repeats: Products per measurement, each with the result of the one before.
    """
    import numpy as np
    from keras import ops

    dtype = precision.removeprefix("mixed_")
    matrix = ops.cast(np.random.default_rng(0).standard_normal((side, side)).astype(np.float32) / side**0.5, dtype)
    multiply = _compiled(lambda one, other: ops.matmul(one, other))
    best = float("inf")
    for _ in range(5):
        begun, result = time.perf_counter(), matrix
        for _ in range(repeats):
            result = multiply(result, matrix)
        np.asarray(ops.convert_to_numpy(result[0, :1]))  # waits until it is computed
        best = min(best, (time.perf_counter() - begun) / repeats)
    return 2 * side**3 / best / 1e12


def _compiled(function: Any) -> Any:
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function)


def flops_per_step(network: UNetConfig, patch: int, batch: int) -> int:
    """Return the floating-point operations of the convolutions in one training step.

    A convolution costs two operations per weight and output voxel, and the backward pass twice as many as the forward
    pass. Normalization, activations and the optimizer, about one percent, are left out.

    Args:
        network: Architecture.
        patch: Side of a patch in voxels.
        batch: Patches per batch.
    """
    from training.network.unet import build_unet

    forward = 0
    for layer in build_unet(network).layers:
        if hasattr(layer, "kernel"):
            weights = 1
            for side in layer.kernel.shape:
                weights *= int(side)
            forward += 2 * weights * (patch // 2 ** _level(layer.name, network.levels)) ** 3
    return 3 * batch * forward


def _level(layer: str, levels: int) -> int:
    """Return how often the input of a layer has been pooled, from its name (``down2_conv1``, ``bottom_conv1`` ...)."""
    part = layer.partition("_")[0]
    if part == "bottom":
        return levels
    return 0 if part == "logits" else int(part.removeprefix("down").removeprefix("up"))


def peak_memory_bytes() -> int:
    """Return the peak of the first GPU's memory, or of this process where there is no GPU."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        statistics = jax.devices()[0].memory_stats() or {}
        if "peak_bytes_in_use" in statistics:
            return int(statistics["peak_bytes_in_use"])
    else:
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
