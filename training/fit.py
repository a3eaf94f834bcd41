"""Training and retraining: Keras's own ``fit`` on streamed patches, validated on whole brains.

The random numbers come from one seed; a checkpoint after each epoch lets a killed training go on where it was. Where
memory runs out, the training goes on from there with half as many patches per batch.
Plain Keras 3: ``KERAS_BACKEND=jax`` trains as well as TensorFlow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from training.errors import InputError
from training.unet import UNetConfig
from training.weights import Weights

if TYPE_CHECKING:
    import keras

    from training.dataset import PatchDataset
    from training.prepared import PreparedCase


class FitConfig(BaseModel):
    """Settings of one training run.

    Attributes:
        max_epochs: Epochs to run at most.
        steps_per_epoch: Batches per epoch.
        batch_size: Patches per batch.
        patch: Sides of a patch in voxels, multiples of the network's stride.
        learning_rate: Peak of a cosine schedule that starts with a short warm-up and ends near zero.
        weight_decay: Of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).
        clip_norm: Gradients are scaled down to this global norm.
        average: Momentum per step of a moving average of the weights that is validated and kept; 0 keeps none.
        freeze_normalization: Keep batch normalization as it is (for retraining on few cases).
        early_stop_patience: Epochs without a better validation before stopping; 0 never stops early.
        validate_every: Epochs between two validations (the last epoch is always validated).
        tumor_fraction: Share of patches centered on tumor.
        augment: Whether patches are flipped, rotated and varied in intensity.
        workers: Threads that prepare batches.
        seed: Of weights, patches and augmentation.
        precision: Keras dtype policy, or ``auto`` for what suits the hardware.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_epochs: int = Field(10, ge=1, le=10_000)
    steps_per_epoch: int = Field(50, ge=1, le=100_000)
    batch_size: int = Field(2, ge=1, le=64)
    patch: tuple[int, int, int] = (128, 128, 128)
    learning_rate: float = Field(2e-3, gt=0, le=1)
    weight_decay: float = Field(1e-4, ge=0, le=1)
    clip_norm: float = Field(5.0, gt=0)
    average: float = Field(0.0, ge=0, lt=1)
    freeze_normalization: bool = False
    early_stop_patience: int = Field(0, ge=0)
    validate_every: int = Field(1, ge=1)
    tumor_fraction: float = Field(0.7, ge=0, le=1)
    augment: bool = True
    workers: int = Field(1, ge=0, le=64)
    seed: int = 0
    precision: str = Field("auto", pattern="^(auto|float32|mixed_bfloat16|mixed_float16)$")


@dataclass(frozen=True)
class FitProgress:
    """Where a training stands; handed to the caller after every batch and every epoch.

    Attributes:
        epoch: Epochs finished.
        total_epochs: Epochs to run at most.
        step: Batches finished in this epoch.
        steps: Batches per epoch.
        loss: Mean training loss of this epoch so far.
        validation: Mean Dice per region of the last validation, ``mean`` among them; empty before the first.
        best_metric: Best mean validation Dice so far; -1 before the first.
        seconds: Since this run started.
        eta_seconds: Until the last epoch ends, at the present speed.
        history: One record per finished epoch.
    """

    epoch: int
    total_epochs: int
    step: int
    steps: int
    loss: float
    validation: dict[str, float]
    best_metric: float
    seconds: float
    eta_seconds: float
    history: list[dict[str, Any]]


@dataclass(frozen=True)
class FitResult:
    """The outcome of a training: the best weights by validation, how it went, and with what batches it ended."""

    weights: Weights
    best_metric: float
    epochs: int
    history: list[dict[str, Any]]
    stopped_early: bool
    batch_size: int = 0


def fit(
    config: FitConfig,
    network: UNetConfig,
    train: Sequence[PreparedCase],
    validation: Sequence[PreparedCase],
    *,
    work_dir: Path,
    start: Weights | None = None,
    sampling: Sequence[float] | None = None,
    batch_size: int | None = None,
    on_progress: Callable[[FitProgress], None] | None = None,
    on_smaller_batch: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Train the network and return its best weights.

    Args:
        config: Settings.
        network: Architecture.
        train: Cases to draw patches from.
        validation: Cases judged whole after the epochs; without any, the last weights count as the best.
        work_dir: Holds ``checkpoint.npz``; a run with the same settings, start and cases goes on from it.
        start: Weights to start from; ``None`` initializes them from the seed.
        sampling: How often each training case is drawn, relative to the others; default equally.
        batch_size: Patches per batch to begin with, where memory is known to be too short for those of ``config``.
        on_progress: Called after every batch and epoch.
        on_smaller_batch: Called with the new number of patches per batch when memory has run out.
        should_stop: Asked after every batch; ``True`` ends the training with what was reached.

    Raises:
        InputError: If there is nothing to train on, the patch does not fit the network's stride, or there is not even
            memory for single patches.
    """
    _check(config, network, train)
    from training.memory import is_out_of_memory, release_memory

    run = _Run(config, network, train, validation, work_dir, start, sampling, on_progress, should_stop)
    batch = min(batch_size or config.batch_size, config.batch_size)
    while True:
        try:
            return run.train(batch)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if batch == 1:
                raise InputError(
                    f"There is not enough memory to train on even one patch of {config.patch} voxels at a time. Choose "
                    "a smaller patch.",
                    field="patch",
                ) from error
        # Only here, behind the except clause, nothing holds the failed attempt any more.
        release_memory()
        batch //= 2
        if on_smaller_batch is not None:
            on_smaller_batch(batch)


@dataclass(frozen=True)
class _Run:
    """One training; its attempts differ only in how many patches a batch has. See :func:`fit` for the fields."""

    config: FitConfig
    network: UNetConfig
    cases: Sequence[PreparedCase]
    validation: Sequence[PreparedCase]
    work_dir: Path
    start: Weights | None
    sampling: Sequence[float] | None
    on_progress: Callable[[FitProgress], None] | None
    should_stop: Callable[[], bool] | None

    def train(self, batch: int) -> FitResult:
        """Train with ``batch`` patches at a time, from the checkpoint on if there is one."""
        import keras

        from training.fit_callbacks import FitSession

        config = self.config
        keras.utils.set_random_seed(config.seed)
        model = compile_model(config, self.network, self.start)
        names = [[case.id, case.key] for case in (*self.cases, *self.validation)]
        fingerprint = _fingerprint(config, self.network, [names, list(self.sampling or [])], self.start)
        checkpoint = self.work_dir / "checkpoint.npz"
        session = FitSession(
            model, config, self.validation, checkpoint, fingerprint, self.on_progress, self.should_stop
        )
        dataset = self._dataset(batch)
        first = session.resume()
        # Keras counts epochs of its own and makes a dry pass before the first; patches must depend on the epoch alone.
        at_epoch = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: setattr(dataset, "epoch", epoch))
        if first < config.max_epochs and not session.exhausted():
            model.fit(
                dataset,
                epochs=config.max_epochs,
                initial_epoch=first,
                callbacks=[at_epoch, session],
                shuffle=False,
                verbose=0,
            )
        return replace(session.result(), batch_size=batch)

    def _dataset(self, batch: int) -> PatchDataset:
        from training.dataset import PatchDataset

        config = self.config
        return PatchDataset(
            self.cases,
            patch=config.patch,
            batch_size=batch,
            steps=config.steps_per_epoch,
            tumor_fraction=config.tumor_fraction,
            weights=self.sampling,
            augment=config.augment,
            seed=config.seed,
            workers=config.workers,
        )


def compile_model(config: FitConfig, network: UNetConfig, start: Weights | None) -> keras.Model:
    """Build the network under the wanted precision with its optimizer and loss, and load ``start`` into it."""
    from training.hardware import best_policy, prepare_backend

    prepare_backend()
    import keras

    from training.losses import DiceCrossEntropy
    from training.unet import build_unet, freeze_normalization
    from training.weights import set_weights

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
        # XLA compiles for minutes on a CPU; JAX cannot do without it.
        jit = keras.backend.backend() == "jax"
        model.compile(optimizer=optimizer, loss=DiceCrossEntropy(), jit_compile=jit)
    finally:
        keras.config.set_dtype_policy(before)
    return model


def _check(config: FitConfig, network: UNetConfig, train: Sequence[PreparedCase]) -> None:
    if not train:
        raise InputError("There is no case to train on.", field="train")
    wrong = [side for side in config.patch if side % network.stride]
    if wrong:
        raise InputError(
            f"The patch {config.patch} does not fit the network: sides must be multiples of {network.stride}.",
            field="patch",
        )


def _fingerprint(config: FitConfig, network: UNetConfig, cases: list[Any], start: Weights | None) -> str:
    digest = hashlib.sha256()
    # Batches are the same with any number of threads: a run may go on where there are more cores.
    digest.update(config.model_copy(update={"workers": 1}).model_dump_json().encode())
    digest.update(network.model_dump_json().encode())
    digest.update(json.dumps(cases).encode())
    for key, value in sorted((start or {}).items()):
        digest.update(key.encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
