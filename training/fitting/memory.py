"""How much memory a training takes, and what to do when there is too little.

The estimates are for a CPU, where weights, activations and batches share the machine's memory. On a GPU nobody can
know beforehand what its allocator will fit in; there a batch that is too large is found out by trying.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass

from training.hardware import cpu_supports_bfloat16, free_memory_bytes, has_gpu
from training.network.unet import UNetConfig

# Measured with the bundled network (and half and twice its filters) on patches of 64 and 96 voxels, peak resident
# memory: 740 MB for a process that has computed nothing, and 260 MB for its first step; per voxel of a batch 155 bytes,
# and per voxel and base filter 43 bytes in bfloat16, 75 in float32; judging a whole head 22 and 39 per voxel and base
# filter.
_BASE_BYTES = 1000 * 1024**2
_VOXEL_BYTES = 160
#: By whether the CPU computes in bfloat16.
_TRAIN_BYTES = {True: 43, False: 75}
_JUDGE_BYTES = {True: 22, False: 39}
#: Batches that wait to be trained on: float32 images of 4 channels, float32 one-hot labels of 4 classes.
_QUEUED, _QUEUED_BYTES = 8, 32
#: What may come on top.
_MARGIN = 1.15
#: Voxels of the box around a brain, padded to the network's stride.
_HEAD_VOXELS = 144 * 176 * 144


@dataclass(frozen=True)
class MemoryNeed:
    """What a training is expected to need, and what there is.

    Attributes:
        bytes: Expected peak with the batches it would start with.
        free_bytes: What the machine (or the container) can give now; ``None`` where a GPU computes.
        batch_size: The largest batches, up to those that were asked for, that fit; 0 if not even single patches do.
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
    """Tell whether an error, or one that led to it, says that memory ran out: the machine's or a GPU's."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            return True
        if "RESOURCE_EXHAUSTED" in str(error):  # as XLA and JAX say it
            return True
        error = error.__cause__ or error.__context__
    return False


def release_memory() -> None:
    """Let go of what an abandoned network holds."""
    import keras

    keras.backend.clear_session()
    gc.collect()


def gigabytes(size: int) -> str:
    """Write a number of bytes for people."""
    return f"{size / 1e9:.1f} GB"


def _peak(network: UNetConfig, patch: int, batch_size: int, half: bool) -> int:
    voxels = batch_size * patch**3
    training = voxels * (network.base_filters * _TRAIN_BYTES[half] + _VOXEL_BYTES + _QUEUED * _QUEUED_BYTES)
    judging = _HEAD_VOXELS * network.base_filters * _JUDGE_BYTES[half]
    return int(_MARGIN * (_BASE_BYTES + max(training, judging)))
