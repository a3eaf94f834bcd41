"""Building and compiling the network for training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.fitting.config import FitConfig
from training.hardware import best_policy, prepare_backend
from training.models.weights import Weights, set_weights
from training.network.unet import UNetConfig, build_unet, freeze_normalization

if TYPE_CHECKING:
    import keras


def compile_model(config: FitConfig, network: UNetConfig, start: Weights | None) -> keras.Model:
    """Build the network in the configured precision, load ``start``, and compile it with loss and optimizer.

    Args:
        config: Settings of the training.
        network: Architecture.
        start: Initial weights; ``None`` keeps the random initialization.
    """
    prepare_backend()
    import keras

    from training.network.losses import DiceCrossEntropy

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(best_policy() if config.precision == "auto" else config.precision)
    try:
        model = build_unet(network)
        if start is not None:
            set_weights(model, start)
        if config.freeze_normalization:
            freeze_normalization(model)
        total = config.max_epochs * config.steps_per_epoch
        warmup = max(1, min(total // 20, 100))
        schedule = keras.optimizers.schedules.CosineDecay(
            config.learning_rate * 0.1,
            max(1, total - warmup),
            alpha=0.01,
            warmup_target=config.learning_rate,
            warmup_steps=warmup,
        )
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay, global_clipnorm=config.clip_norm)
        # XLA compiles for minutes on a CPU, but JAX requires it.
        jit = keras.backend.backend() == "jax"
        model.compile(optimizer=optimizer, loss=DiceCrossEntropy(), jit_compile=jit)
    finally:
        keras.config.set_dtype_policy(before)
    return model
