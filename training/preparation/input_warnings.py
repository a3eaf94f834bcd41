"""Warnings about the input of a segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.images.grid import Grid
from training.images.masks import dice
from training.modalities import TITLES, display_name

#: Above the volume of any skull-stripped brain; a head has 3000 mL and more.
_LARGEST_BRAIN_ML = 2200.0
#: Below the volume of an adult brain, even with a tight mask.
_SMALLEST_BRAIN_ML = 600.0
#: Brain masks with a lower Dice to that of the reference are not registered to it.
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
    """Return warnings about volumes that may give a poor segmentation.

    Args:
        grid: Grid of the reference volume.
        reference: Its role.
        noisy: Roles whose background is noise instead of one value.
        brain_ml: Volume of the brain mask.
        masks: Tissue masks by role, all on one grid.
        missing: Missing roles.

    Returns:
        One sentence per warning.
    """
    found = [_missing_warning(missing, reference)] if missing else []
    if noisy or brain_ml > _LARGEST_BRAIN_ML:
        which = f" ({', '.join(noisy)})" if noisy else ""
        found.append(
            f"The volumes do not look skull-stripped{which}: {brain_ml:.0f} mL of tissue. The network was trained on "
            "skull-stripped brains; expect false positives, or strip the skull first."
        )
    elif brain_ml < _SMALLEST_BRAIN_ML:
        found.append(f"The brain mask has only {brain_ml:.0f} mL; a whole brain has 900 mL and more.")
    for role, mask in masks.items():
        shared = dice(mask, masks[reference])
        if shared < _REGISTERED:
            found.append(
                f"{TITLES[role]} and {TITLES[reference]} do not lie on each other: the Dice of their brains is "
                f"{shared:.0%}. Register the volumes first."
            )
    thickest = max(grid.spacing)
    if thickest > _THICK_MM:
        found.append(f"The slices of {TITLES[reference]} are {thickest:.1f} mm thick; small findings may be missed.")
    return tuple(found)


def _missing_warning(missing: Sequence[str], reference: str) -> str:
    """Return the warning about missing modalities; training drops one at a time (training.fitting.augment)."""
    names = ", ".join(display_name(role) for role in missing)
    if len(missing) == 1:
        text = (
            f"{names} was missing; the network was trained to work without any single modality, but is less accurate."
        )
    else:
        text = f"{names} were missing; the network was trained to work without a single one. Expect a worse result."
    if "t1ce" in missing:
        text += " Enhancing tumor is not visible without contrast agent."
        text += f" The result lies on the grid of {TITLES[reference]}."
    return text
