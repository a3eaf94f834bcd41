"""Training: Keras's ``fit`` on streamed patches, validated on whole brains.

All random numbers come from one seed. A killed training resumes from the checkpoint of its last epoch; if memory runs
out, it resumes with half as many patches per batch. Plain Keras 3: works with ``KERAS_BACKEND=jax`` as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import InputError
from training.fitting.compile import compile_model
from training.fitting.config import FitConfig, FitProgress, FitResult
from training.fitting.devices import share_batches
from training.fitting.memory import is_out_of_memory, release_memory
from training.models.weights import Weights
from training.network.unet import UNetConfig
from training.preparation.store import PreparedCase

if TYPE_CHECKING:
    from training.fitting.dataset import PatchDataset


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
    devices: int = 1,
    on_progress: Callable[[FitProgress], None] | None = None,
    on_smaller_batch: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Train the network and return its best weights.

    Args:
        config: Settings.
        network: Architecture.
        train: Cases to draw patches from.
        validation: Cases evaluated whole after the epochs; without any, the last weights count as the best.
        work_dir: Folder of ``checkpoint.npz``; a run with the same settings, initial weights and cases resumes from it.
        start: Initial weights; ``None`` initializes them from the seed.
        sampling: Relative sampling weight of each training case; default equal.
        batch_size: Initial patches per batch, if memory is known to be too small for that of ``config``.
        devices: Number of devices that share each batch; see :mod:`training.fitting.devices`.
        on_progress: Called after every batch and epoch.
        on_smaller_batch: Called with the new number of patches per batch when memory has run out.
        should_stop: Called after every batch; ``True`` ends the training and keeps its result so far.

    Raises:
        InputError: If there is nothing to train on, the patch does not match the stride of the network, or memory does
            not suffice for single patches, or ``devices`` cannot be used.
    """
    _check(config, network, train)

    run = _Run(config, network, train, validation, work_dir, start, sampling, devices, on_progress, should_stop)
    batch = min(batch_size or config.batch_size, config.batch_size)
    while True:
        try:
            return run.train(batch)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if batch == devices:
                raise InputError(
                    f"There is not enough memory to train on even one patch of {config.patch} voxels at a time. Choose "
                    "a smaller patch.",
                    field="patch",
                ) from error
        # Only here, after the except clause, are there no references to the failed attempt.
        release_memory()
        batch = max(devices, batch // 2 // devices * devices)
        if on_smaller_batch is not None:
            on_smaller_batch(batch)


@dataclass(frozen=True)
class _Run:
    """One training, whose attempts differ only in the batch size. See :func:`fit` for the fields."""

    config: FitConfig
    network: UNetConfig
    cases: Sequence[PreparedCase]
    validation: Sequence[PreparedCase]
    work_dir: Path
    start: Weights | None
    sampling: Sequence[float] | None
    devices: int
    on_progress: Callable[[FitProgress], None] | None
    should_stop: Callable[[], bool] | None

    def train(self, batch: int) -> FitResult:
        """Train with ``batch`` patches per batch, from the checkpoint if there is one."""
        with share_batches(self.devices, batch):
            return self._train(batch)

    def _train(self, batch: int) -> FitResult:
        import keras

        from training.fitting.session import FitSession
        from training.network.batch_norm import freeze_statistics

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
        frozen_from = config.freeze_statistics_after or config.max_epochs

        def begin(epoch: int, logs: Any) -> None:
            # Keras counts a dry pass before the first epoch; patches must depend on the epoch alone.
            dataset.epoch = epoch
            if epoch == max(first, frozen_from):
                freeze_statistics(model)

        at_epoch = keras.callbacks.LambdaCallback(on_epoch_begin=begin)
        if first < config.max_epochs and not session.patience_exhausted():
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
        from training.fitting.dataset import PatchDataset

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
    # Batches do not depend on the number of threads: a run may resume with more of them.
    digest.update(config.model_copy(update={"workers": 1}).model_dump_json().encode())
    digest.update(network.model_dump_json().encode())
    digest.update(json.dumps(cases).encode())
    for key, value in sorted((start or {}).items()):
        digest.update(key.encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
