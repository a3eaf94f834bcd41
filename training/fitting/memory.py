"""Memory of a training run: an estimate beforehand, and recognizing that it has run out.

The estimates are for a CPU, where weights, activations and batches share the main memory. On a GPU the behavior of the
allocator cannot be predicted; there a batch that is too large is found by trying.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass

from training.errors import with_causes
from training.hardware import cpu_supports_bfloat16, free_memory_bytes, has_gpu
from training.network.unet import UNetConfig

# Peak resident memory, measured with the bundled network (and half and twice its filters) on patches of 64 and 96
# voxels: 740 MB for an idle process, 260 MB for its first step; 155 bytes per voxel of a batch, and 43 bytes per voxel
# and base filter in bfloat16, 75 in float32; for validating a whole head 22 and 39 bytes per voxel and base filter.
_BASE_BYTES = 1000 * 1024**2
_VOXEL_BYTES = 160
#: Bytes per voxel and base filter, by whether the CPU computes in bfloat16.
_TRAIN_BYTES = {True: 43, False: 75}
_VALIDATE_BYTES = {True: 22, False: 39}
#: Queued batches: float32 images of 4 channels, float32 one-hot labels of 4 classes.
_QUEUED, _QUEUED_BYTES = 8, 32
#: Safety factor.
_MARGIN = 1.15
#: Voxels of the box around a brain, padded to the network's stride.
_HEAD_VOXELS = 144 * 176 * 144


@dataclass(frozen=True)
class MemoryNeed:
    """Expected and available memory of a training run.

    Attributes:
        bytes: Expected peak with the initial batch size.
        free_bytes: Memory available on the machine (or in the container); ``None`` on a GPU.
        batch_size: Largest batch size that fits, up to the requested one; 0 if not even single patches do.
    """

    bytes: int
    free_bytes: int | None
    batch_size: int


def need_of(network: UNetConfig, patch: int, batch_size: int) -> MemoryNeed:
    """Estimate the peak memory of a retraining.

    Args:
        network: Architecture.
        patch: Side of a patch in voxels.
        batch_size: Patches per batch.
    """
    if has_gpu():
        return MemoryNeed(0, None, batch_size)
    half = cpu_supports_bfloat16()
    free = free_memory_bytes()
    fitting = batch_size
    while fitting and _peak(network, patch, fitting, half) > free:
        fitting //= 2
    return MemoryNeed(_peak(network, patch, max(1, fitting), half), free, fitting)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or one of its causes, says that main or GPU memory ran out."""
    return any(
        isinstance(each, MemoryError)
        or type(each).__name__ == "ResourceExhaustedError"
        or "RESOURCE_EXHAUSTED" in str(each)  # the wording of XLA and JAX
        for each in with_causes(error)
    )


def release_memory() -> None:
    """Free the memory of an abandoned network."""
    import keras

    keras.backend.clear_session()
    gc.collect()


def gigabytes(size: int) -> str:
    """Format a number of bytes in gigabytes."""
    return f"{size / 1e9:.1f} GB"


def _peak(network: UNetConfig, patch: int, batch_size: int, half: bool) -> int:
    voxels = batch_size * patch**3
    training = voxels * (network.base_filters * _TRAIN_BYTES[half] + _VOXEL_BYTES + _QUEUED * _QUEUED_BYTES)
    validating = _HEAD_VOXELS * network.base_filters * _VALIDATE_BYTES[half]
    return int(_MARGIN * (_BASE_BYTES + max(training, validating)))
