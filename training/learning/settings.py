"""Settings of a learning curve."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from training.phantoms.fixed_seeds import FIXED_SEEDS


class CurveSettings(BaseModel):
    """What is measured, and how often.

    Attributes:
        counts: Numbers of corrected cases after which is measured, rising from 0; a retraining follows each but the
            first.
        orders: Number of orders; more can be added to a run.
        strategies: Names of strategies; more can be added to a run.
        unseen: Patients of the hospital that stay unseen in an order.
        others: Cases of each other hospital on which is measured.
        phantoms: Fixed phantoms on which is measured.
        seed: Seed of the robot corrector.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    counts: tuple[int, ...] = (0, 1, 2, 4, 8)
    orders: int = Field(3, ge=1, le=100)
    strategies: tuple[str, ...] = ("random",)
    unseen: int = Field(4, ge=1, le=1000)
    others: int = Field(2, ge=0, le=1000)
    phantoms: int = Field(6, ge=0, le=len(FIXED_SEEDS))
    seed: int = Field(0, ge=0)
