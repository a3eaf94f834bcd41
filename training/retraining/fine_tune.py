"""The training of a retraining: from the weights of a version, on corrected cases and replayed phantoms."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from training.errors import InputError
from training.fitting.checkpoint import load_state
from training.fitting.compile import compile_model
from training.fitting.config import FitProgress, FitResult
from training.fitting.fit import fit
from training.models.store import ModelVersion
from training.models.weights import Weights, get_weights
from training.preparation.store import PreparedCase
from training.retraining.config import RetrainConfig
from training.retraining.corrections import RetrainCases

#: Called with what happens, and a sentence to keep on record or "".
OnEvent = Callable[[str, str], None]


def fine_tune(
    parent: ModelVersion,
    cases: RetrainCases,
    *,
    config: RetrainConfig,
    work_dir: Path,
    batch_size: int | None = None,
    on_event: OnEvent = lambda message, note: None,
    on_progress: Callable[[FitProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FitResult:
    """Train from the weights of ``parent`` and return the best weights, or the last ones without evaluation cases.

    Args:
        parent: The version to start from.
        cases: From :meth:`training.retraining.corrections.Mixture.prepare`.
        config: Settings.
        work_dir: Folder of the checkpoint; the same call resumes from it.
        batch_size: Initial patches per batch, if memory is known to be too small for that of ``config``.
        on_event: Called when something other than a step happens.
        on_progress: Called after every step.
        should_stop: Called after every step; ``True`` ends the training and keeps its result so far.

    Raises:
        InputError: If the patch does not fit the network, memory does not suffice, or there is no normalization to
            recompute.
    """
    start = parent.load_weights()
    if config.recompute_normalization:
        start = _renormalized(parent, start, cases.train[: cases.corrected], config, on_event)
    _set_aside_damaged(work_dir / "checkpoint.npz", on_event)
    return fit(
        config.fit_config(),
        parent.card.network,
        cases.train,
        cases.evaluation,
        work_dir=work_dir,
        start=start,
        sampling=cases.sampling,
        batch_size=batch_size,
        on_smaller_batch=lambda batch: on_event(
            "memory ran out: resuming with smaller batches",
            f"Memory ran out; the training resumed from its last epoch with {batch} patches per batch.",
        ),
        on_progress=on_progress,
        should_stop=should_stop,
    )


def _renormalized(
    parent: ModelVersion, start: Weights, cases: Sequence[PreparedCase], config: RetrainConfig, on_event: OnEvent
) -> Weights:
    """Return ``start`` with statistics of batch normalization that are partly those of ``cases``, seen whole."""
    from training.network.batch_norm import recompute_statistics

    network = compile_model(config.fit_config(), parent.card.network, start)

    def images() -> Iterator[np.ndarray]:
        for number, case in enumerate(cases, start=1):
            on_event(f"recomputing normalization on case {number} of {len(cases)}", "")
            yield np.asarray(case.image(), np.float32)

    recompute_statistics(network, images(), share=config.recompute_normalization)
    return get_weights(network)


def _set_aside_damaged(checkpoint: Path, on_event: OnEvent) -> None:
    """Move an unreadable checkpoint aside, so that the training can start over."""
    try:
        load_state(checkpoint)
    except InputError:
        os.replace(checkpoint, checkpoint.with_name("checkpoint-damaged.npz"))
        note = "The checkpoint of an earlier training was damaged and was moved aside; the training started over."
        on_event("starting over", note)
