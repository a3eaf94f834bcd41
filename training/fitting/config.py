"""Settings, progress and result of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from training.models.weights import Weights


class FitConfig(BaseModel):
    """Settings of one training run.

    Attributes:
        max_epochs: Maximum number of epochs.
        steps_per_epoch: Batches per epoch.
        batch_size: Patches per batch.
        patch: Sides of a patch in voxels, multiples of the network's stride.
        learning_rate: Peak of a cosine schedule with a short warm-up.
        weight_decay: Of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).
        clip_norm: Gradients are clipped to this global norm.
        average: Momentum per step of a moving average of the weights, which is validated and kept; 0 to disable it.
        freeze_normalization: Freeze batch normalization (for retraining on few cases).
        freeze_statistics_after: Epochs after which the statistics of batch normalization are frozen, so that the
            training ends with those that are used in prediction; 0 for never.
        early_stop_patience: Epochs without improvement before early stopping; 0 to disable it.
        validate_every: Epochs between validations (the last epoch is always validated).
        keep_last: Keep the last validated weights, not the best ones: then the validation only reports.
        tumor_fraction: Fraction of patches aimed at tumor.
        augment: Whether to augment patches.
        workers: Threads that prepare batches.
        seed: Seed of weights, patches and augmentation.
        precision: Keras dtype policy, or ``auto`` for the best one on this hardware.
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
    freeze_statistics_after: int = Field(0, ge=0, le=10_000)
    early_stop_patience: int = Field(0, ge=0)
    validate_every: int = Field(1, ge=1)
    keep_last: bool = False
    tumor_fraction: float = Field(0.7, ge=0, le=1)
    augment: bool = True
    workers: int = Field(1, ge=0, le=64)
    seed: int = 0
    precision: str = Field("auto", pattern="^(auto|float32|mixed_bfloat16|mixed_float16)$")


@dataclass(frozen=True)
class FitProgress:
    """Progress of a training run, reported after every batch and every epoch.

    Attributes:
        epoch: Epochs finished.
        total_epochs: Maximum number of epochs.
        step: Batches finished in this epoch.
        steps: Batches per epoch.
        loss: Mean training loss of this epoch so far.
        validation: Mean Dice per region of the last validation, and their ``mean``; empty before the first.
        best_metric: Best mean validation Dice so far; -1 before the first.
        seconds: Time since this run started.
        eta_seconds: Estimated time to the end of the last epoch.
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
    """The outcome of a training run: the best weights by validation, the history, and the final batch size."""

    weights: Weights
    best_metric: float
    epochs: int
    history: list[dict[str, Any]]
    stopped_early: bool
    batch_size: int = 0
