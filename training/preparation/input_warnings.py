"""What a reader of a result should know about its input: sentences, not errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.images.grid import Grid
from training.images.masks import dice
from training.modalities import TITLES, display_name

#: More than any skull-stripped brain holds; a head holds 3000 mL and more.
_LARGEST_BRAIN_ML = 2200.0
#: Less than an adult brain holds, even with a tight mask.
_SMALLEST_BRAIN_ML = 600.0
#: Brains that overlap less than this (Dice) with the reference's were not registered to it.
_REGISTERED = 0.9
_THICK_MM = 3.0


def input_warnings(
    grid: Grid,
    reference: str,
    *,
    noisy: Sequence[str],
    brain_ml: float,
    masks: Mapping[str, np.ndarray],
    missing: Sequence[str] = (),
) -> tuple[str, ...]:
    """Say what makes a segmentation of these volumes doubtful.

    Args:
        grid: Of the reference volume.
        reference: Its role.
        noisy: Roles whose background is noise instead of one value.
        brain_ml: Volume of the brain found.
        masks: Tissue by role, all on one grid.
        missing: Roles that were not there.

    Returns:
        One string each; none if all is as it should be.
    """
    found = [_missing_warning(missing, reference)] if missing else []
    if noisy or brain_ml > _LARGEST_BRAIN_ML:
        which = f" ({', '.join(noisy)})" if noisy else ""
        found.append(
            f"The volumes do not look skull-stripped{which}: {brain_ml:.0f} mL of tissue. The network knows brains "
            "without skull; expect false findings, or strip the skull first."
        )
    elif brain_ml < _SMALLEST_BRAIN_ML:
        found.append(f"Only {brain_ml:.0f} mL of brain were found; a whole brain holds 900 mL and more.")
    for role, mask in masks.items():
        shared = dice(mask, masks[reference])
        if shared < _REGISTERED:
            found.append(
                f"{TITLES[role]} and {TITLES[reference]} do not lie on each other: their brains overlap by "
                f"{shared:.0%}. Register the volumes first."
            )
    thickest = max(grid.spacing)
    if thickest > _THICK_MM:
        found.append(f"The slices of {TITLES[reference]} are {thickest:.1f} mm thick; small findings may be missed.")
    return tuple(found)


def _missing_warning(missing: Sequence[str], reference: str) -> str:
    """Name the missing modalities, and say what that means. Training drops one at a time (training.fitting.augment)."""
    names = ", ".join(display_name(role) for role in missing)
    if len(missing) == 1:
        text = f"{names} was missing; the network was trained to do without any one modality, but sees less without it."
    else:
        text = f"{names} were missing; the network was trained to do without one at a time. Expect a worse result."
    if "t1ce" in missing:
        text += " Without contrast agent nothing shows which tumor enhances."
        text += f" The result lies on the grid of {TITLES[reference]}."
    return text
