"""What a reader of a result should know about its input: sentences, not errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.brain import overlap
from training.modalities import TITLES
from training.volumes import Grid

#: More than any skull-stripped brain holds; a head holds 3000 mL and more.
_LARGEST_BRAIN_ML = 2200.0
#: Less than an adult brain holds, even with a tight mask.
_SMALLEST_BRAIN_ML = 600.0
#: Brains that overlap less than this (Dice) with the reference's were not registered to it.
_REGISTERED = 0.9
_THICK_MM = 3.0


def doubts(
    grid: Grid, reference: str, *, noisy: Sequence[str], brain_ml: float, masks: Mapping[str, np.ndarray]
) -> tuple[str, ...]:
    """Say what makes a segmentation of these volumes doubtful.

    Args:
        grid: Of the reference volume.
        reference: Its role.
        noisy: Roles whose background is noise instead of one value.
        brain_ml: Volume of the brain found.
        masks: Tissue by role, all on one grid.

    Returns:
        One sentence each; none if all is as it should be.
    """
    found = []
    if noisy or brain_ml > _LARGEST_BRAIN_ML:
        which = f" ({', '.join(noisy)})" if noisy else ""
        found.append(
            f"The volumes do not look skull-stripped{which}: {brain_ml:.0f} mL of tissue. The network knows brains "
            "without skull; expect false findings, or strip the skull first."
        )
    elif brain_ml < _SMALLEST_BRAIN_ML:
        found.append(f"Only {brain_ml:.0f} mL of brain were found; a whole brain holds 900 mL and more.")
    for role, mask in masks.items():
        shared = overlap(mask, masks[reference])
        if shared < _REGISTERED:
            found.append(
                f"{TITLES[role]} and {TITLES[reference]} do not lie on each other: their brains overlap by "
                f"{shared:.0%}. Register the volumes first."
            )
    thickest = max(grid.spacing)
    if thickest > _THICK_MM:
        found.append(f"The slices of {TITLES[reference]} are {thickest:.1f} mm thick; small findings may be missed.")
    return tuple(found)
