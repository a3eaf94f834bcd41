"""The Keras callback of a training run: averaging, validation, checkpoints, progress, and stopping."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from training.fitting.checkpoint import TrainingState, load_state, save_state
from training.fitting.config import FitConfig, FitProgress, FitResult
from training.fitting.score import score
from training.labels import REGIONS
from training.models.weights import Weights, get_weights, set_weights
from training.preparation.store import PreparedCase

#: Steps between updates of the moving average of the weights, since copying them takes time.
AVERAGE_EVERY = 5


class FitSession(keras.callbacks.Callback):
    """The callback of one training run; owns the state that a checkpoint holds.

    It is one callback instead of five because the order matters: average, validate, keep the best weights, write the
    checkpoint, report progress.

    Args:
        network: The compiled model.
        config: Settings of the run.
        validation: Cases evaluated whole after the epochs.
        checkpoint: The checkpoint file.
        fingerprint: Identifies the run that a checkpoint belongs to.
        on_progress: See :func:`training.fitting.fit.fit`.
        should_stop: See :func:`training.fitting.fit.fit`.
    """

    def __init__(
        self,
        network: keras.Model,
        config: FitConfig,
        validation: Sequence[PreparedCase],
        checkpoint: Path,
        fingerprint: str,
        on_progress: Callable[[FitProgress], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        super().__init__()
        self._network = network
        self._config = config
        self._validation = validation
        self._checkpoint = checkpoint
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._state = TrainingState(fingerprint=fingerprint)
        self._started = time.perf_counter()
        self._first_epoch = 0
        self._stopped_early = False

    def resume(self) -> int:
        """Load the checkpoint of this run, if there is one; return the number of finished epochs."""
        state = load_state(self._checkpoint)
        if state is None or state.fingerprint != self._state.fingerprint:
            self._state.average = get_weights(self._network) if self._config.average else {}
            return 0
        self._state = state
        self._first_epoch = state.epoch
        set_weights(self._network, state.weights)
        optimizer = self._network.optimizer
        if not optimizer.built:
            optimizer.build(self._network.trainable_variables)
        optimizer.load_own_variables(dict(state.optimizer))
        return state.epoch

    def result(self) -> FitResult:
        """Return the best weights so far and the history."""
        state = self._state
        weights = state.best or self._averaged()
        return FitResult(weights, state.best_metric, state.epoch, state.history, self._stopped_early)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Update the average, report progress, and stop on request."""
        steps = self._config.steps_per_epoch
        if self._config.average and ((batch + 1) % AVERAGE_EVERY == 0 or batch + 1 == steps):
            # At the end of an epoch as well: otherwise epochs of a few steps would leave the average as it began.
            self._update_average(since=batch % AVERAGE_EVERY + 1)
        self._report(batch + 1, float((logs or {}).get("loss", float("nan"))))
        if self._should_stop is not None and self._should_stop():
            self._network.stop_training = True
            self._stopped_early = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Validate, keep the best weights, write the checkpoint, report progress; stop early without improvement."""
        if self._stopped_early and self._state.best:
            return  # a stop within an epoch keeps the best weights of the last validation
        loss = float((logs or {}).get("loss", float("nan")))
        record: dict[str, Any] = {"epoch": epoch + 1, "loss": round(loss, 5)}
        last = epoch + 1 == self._config.max_epochs or self._stopped_early
        if last or (epoch + 1) % self._config.validate_every == 0:
            record |= self._validate(loss)
        record["seconds"] = round(time.perf_counter() - self._started, 1)
        self._state.history.append(record)
        self._state.epoch = epoch + 1
        self._save()
        self._report(0, loss)
        if self.patience_exhausted():
            self._network.stop_training = True
            self._stopped_early = True

    def patience_exhausted(self) -> bool:
        """Return whether the validation has not improved for ``early_stop_patience`` epochs."""
        scores = [(record["epoch"], record["mean"]) for record in self._state.history if "mean" in record]
        if not self._config.early_stop_patience or not scores:
            return False
        best_epoch = max(scores, key=lambda score: score[1])[0]
        return self._state.epoch - best_epoch >= self._config.early_stop_patience

    def _validate(self, loss: float) -> dict[str, float]:
        weights = self._averaged()
        if not self._validation:
            self._state.best = weights
            return {}
        trained = get_weights(self._network) if self._config.average else None
        if trained is not None:
            set_weights(self._network, weights)
        # Progress after each case: validation may take longer than training.
        scores = score(self._network, self._validation, lambda: self._report(self._config.steps_per_epoch, loss))
        if trained is not None:
            set_weights(self._network, trained)
        means = {name: float(np.mean([case[name] for case in scores])) for name in REGIONS}
        mean = float(np.mean(list(means.values())))
        better = mean > self._state.best_metric
        if better:
            self._state.best_metric = mean
        if better or self._config.keep_last:
            self._state.best = weights
        return {**{name: round(value, 5) for name, value in means.items()}, "mean": round(mean, 5)}

    def _averaged(self) -> Weights:
        return dict(self._state.average) if self._config.average else get_weights(self._network)

    def _update_average(self, since: int) -> None:
        """Update the average, ``since`` steps after the last time."""
        if hasattr(self._network, "jax_state_sync"):  # JAX keeps the variables outside the model while it trains
            self._network.jax_state_sync()
        # The momentum warms up so that the random initial weights decay quickly (as in TensorFlow's EMA).
        steps = self._state.epoch * self._config.steps_per_epoch + since
        momentum = min(self._config.average**since, (1 + steps) / (10 + steps))
        for key, value in get_weights(self._network).items():
            self._state.average[key] = momentum * self._state.average[key] + (1.0 - momentum) * value

    def _save(self) -> None:
        self._state.weights = get_weights(self._network)
        store: dict[str, Any] = {}
        self._network.optimizer.save_own_variables(store)
        self._state.optimizer = {key: np.asarray(value) for key, value in store.items()}
        save_state(self._state, self._checkpoint)

    def _report(self, step: int, loss: float) -> None:
        if self._on_progress is None:
            return
        steps, total = self._config.steps_per_epoch, self._config.max_epochs
        seconds = time.perf_counter() - self._started
        done = max(1, self._state.epoch * steps + step)
        run = max(1, done - self._first_epoch * steps)
        history = self._state.history
        latest: dict[str, Any] = next((record for record in reversed(history) if "mean" in record), {})
        validation = {name: latest[name] for name in (*REGIONS, "mean") if name in latest}
        self._on_progress(
            FitProgress(
                epoch=self._state.epoch,
                total_epochs=total,
                step=step,
                steps=steps,
                loss=loss,
                validation=validation,
                best_metric=self._state.best_metric,
                seconds=seconds,
                eta_seconds=seconds / run * (total * steps - done),
                history=list(history),
            )
        )
