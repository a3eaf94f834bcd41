"""Settings of a retraining."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from training.fitting.config import FitConfig
from training.retraining.corrections import EVALUATION_SEEDS, Mixture


class RetrainConfig(BaseModel):
    """Settings of a retraining. The defaults are for two CPU cores and a few minutes.

    Attributes:
        max_epochs: Maximum number of epochs.
        steps_per_epoch: Batches per epoch.
        batch_size: Patches per batch.
        patch: Side of a patch in voxels.
        learning_rate: Peak of the schedule.
        average: Momentum per step of a moving average of the weights, which is kept; 0 for the last weights.
        derived: Heads derived from each corrected case; see :mod:`training.retraining.derived`.
        derived_share: Fraction of the patches of corrected cases that is taken from derived heads.
        replay: Number of phantoms mixed in.
        replay_share: Fraction of patches taken from phantoms.
        judge_phantoms: Phantoms that guard against forgetting; see :mod:`training.retraining.promotion`.
        enough_validation: Number of validation patients from which they decide whether a candidate is promoted.
        tolerance: Median loss of mean Dice over these phantoms up to which nothing counts as forgotten. On patients no
            loss is tolerated.
        drift: The same for all retrainings together, since the bundled model with which they began.
        cross_validate: Folds of a cross-validation over the corrected patients, which decides while there are too few
            validation patients; each fold takes another training. 0 for none.
        compare_unseen: Number of cases corrected since the current version was made, the newest ones, on which it is
            compared with its parent before the training; 0 for none. See :mod:`training.retraining.evidence`.
        early_stop_patience: Epochs without improvement before early stopping; 0 to disable it.
        validate_every: Epochs between validations.
        freeze_normalization: Freeze batch normalization; see
            :func:`training.network.unet.freeze_normalization`.
        freeze_statistics_after: See :class:`training.fitting.config.FitConfig`; at most half of the epochs.
        recompute_normalization: Share of the statistics of batch normalization that is taken from the corrected cases
            before the training; 0 keeps the parent's. See :func:`training.network.batch_norm.recompute_statistics`.
        workers: Threads that prepare batches.
        seed: Seed of patches and augmentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_epochs: int = Field(4, ge=1, le=1000)
    steps_per_epoch: int = Field(30, ge=1, le=10_000)
    batch_size: int = Field(2, ge=1, le=16)
    patch: int = Field(96, ge=16, le=256)
    learning_rate: float = Field(1e-3, gt=0, le=0.1)
    average: float = Field(0.97, ge=0, lt=1)
    derived: int = Field(6, ge=0, le=100)
    derived_share: float = Field(0.6, ge=0, lt=1)
    replay: int = Field(12, ge=0, le=1000)
    replay_share: float = Field(0.4, ge=0, lt=1)
    judge_phantoms: int = Field(4, ge=1, le=len(EVALUATION_SEEDS))
    enough_validation: int = Field(3, ge=1, le=100)
    tolerance: float = Field(0.02, ge=0, le=1)
    drift: float = Field(0.1, ge=0, le=1)
    cross_validate: int = Field(0, ge=0, le=20)
    compare_unseen: int = Field(12, ge=0, le=1000)
    early_stop_patience: int = Field(0, ge=0, le=1000)
    validate_every: int = Field(4, ge=1, le=1000)
    freeze_normalization: bool = False
    freeze_statistics_after: int = Field(2, ge=0, le=1000)
    recompute_normalization: float = Field(0.0, ge=0, le=1)
    workers: int = Field(1, ge=0, le=64)
    seed: int = Field(0, ge=0)

    @field_validator("cross_validate")
    @classmethod
    def _enough_folds(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("a cross-validation has at least 2 folds; give 0 for none")
        return folds

    def fit_config(self) -> FitConfig:
        """Return the settings of the training itself.

        Without early stopping the last weights are kept: a choice among the epochs would favor the candidate on the
        validation patients that judge it, and let phantoms choose where there are none.
        """
        shared = self.model_dump(include=set(FitConfig.model_fields) - {"patch"})
        shared["freeze_statistics_after"] = min(self.freeze_statistics_after, max(1, self.max_epochs // 2))
        return FitConfig(patch=(self.patch,) * 3, keep_last=not self.early_stop_patience, **shared)

    def mixture(self, stride: int) -> Mixture:
        """Return how corrections and phantoms are mixed."""
        return Mixture(
            replay=self.replay,
            replay_share=self.replay_share,
            derived=self.derived,
            derived_share=self.derived_share,
            judge_phantoms=self.judge_phantoms,
            stride=stride,
        )
