"""Training on several devices: each batch is divided among them (data parallelism, ``keras.distribution``).

The weights are on every device, and the gradients and the statistics of batch normalization are those of the whole
batch: the training is that of one device, up to the rounding of sums.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from training.errors import InputError


def share_batches(devices: int, batch_size: int) -> AbstractContextManager[None]:
    """Return a context in which networks are built, and trained, on the first ``devices`` devices.

    Args:
        devices: Their number; 1 changes nothing.
        batch_size: Patches per batch.

    Raises:
        InputError: If there are not so many devices, they cannot share a batch equally, or the backend is not JAX: the
            distribution API of Keras 3 is a prototype on TensorFlow.
    """
    if devices == 1:
        return nullcontext()
    import keras

    backend = keras.backend.backend()
    if backend != "jax":
        raise InputError(
            f"Training on {devices} devices needs Keras on JAX, not {backend}: install jax[cuda12] and set the "
            "environment variable KERAS_BACKEND=jax, or train on one device.",
            field="devices",
        )
    if batch_size % devices:
        raise InputError(
            f"{batch_size} patches per batch cannot be shared equally among {devices} devices. Choose a batch size "
            f"that is a multiple of {devices}.",
            field="batch_size",
        )
    found = keras.distribution.list_devices()
    if len(found) < devices:
        raise InputError(
            f"This machine has {len(found)} device(s) that JAX can use, not {devices}: {', '.join(found)}.",
            field="devices",
        )
    return keras.distribution.DataParallel(devices=found[:devices], auto_shard_dataset=False).scope()


def sharing_devices() -> int:
    """Return how many devices share a batch inside :func:`share_batches`; 1 outside."""
    import keras

    distribution = keras.distribution.distribution()
    return 1 if distribution is None else int(distribution.num_model_replicas)
