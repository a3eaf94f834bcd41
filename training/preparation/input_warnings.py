"""Warnings about the input of a segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.images.grid import Grid
from training.images.masks import dice
from training.images.tissue import LARGEST_BRAIN_ML
from training.modalities import TITLES, display_name
from training.preparation.estimated_t1 import is_estimated

#: Below the volume of an adult brain, even with a tight mask.
_SMALLEST_BRAIN_ML = 600.0
#: Brain masks with a lower Dice to that of the reference are not registered to it; the lower value is for masks cut out
#: of noise, which end where a modality becomes dark.
_REGISTERED, _REGISTERED_IN_NOISE = 0.9, 0.75
#: A mask of which this fraction lies in the other is a part of it.
_WITHIN = 0.95
_THICK_MM = 3.0


def input_warnings(
    grid: Grid,
    reference: str,
    *,
    noisy: Sequence[str],
    brain_ml: float,
    masks: Mapping[str, np.ndarray],
    voxel_ml: float,
    outliers: Mapping[str, int],
    missing: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return warnings about volumes that may give a poor segmentation.

    Args:
        grid: Grid of the reference volume.
        reference: Its role.
        noisy: Roles whose background is noise instead of one value.
        brain_ml: Volume of the brain mask.
        masks: Tissue masks by role, all on one grid.
        voxel_ml: Volume of its voxels.
        outliers: Number of outliers by role that were replaced.
        missing: Missing roles.

    Returns:
        One sentence per warning.
    """
    found = [_missing_warning(missing, reference)] if missing else []
    if brain_ml > LARGEST_BRAIN_ML:
        found.append(
            f"{_not_stripped(brain_ml)} The network was trained on skull-stripped brains; expect false positives."
        )
    elif noisy:
        found.append(
            f"The background of {', '.join(TITLES[role] for role in noisy)} is noise, as it is before skull stripping. "
            "The network was trained on skull-stripped brains; if there is skull or scalp, strip it first."
        )
    elif brain_ml < _SMALLEST_BRAIN_ML:
        found.append(f"The brain mask has only {brain_ml:.0f} mL; a whole brain has 900 mL and more.")
    for role, count in outliers.items():
        found.append(
            f"{TITLES[role]} holds {count} voxel{'s' if count != 1 else ''} with values far outside those of all other "
            "tissue; they were replaced by those around them. Check the image there."
        )
    for role, mask in masks.items():
        found += _overlap_warning(role, reference, mask, masks[reference], voxel_ml, noisy)
    thickest = max(grid.spacing)
    if thickest > _THICK_MM:
        found.append(f"The slices of {TITLES[reference]} are {thickest:.1f} mm thick; small findings may be missed.")
    return tuple(found)


def whole_head_message(tissue_ml: float) -> str:
    """Return why a whole head is not segmented, and what to do."""
    return (
        f"{_not_stripped(tissue_ml)} They were taken as skull-stripped and aligned, as was asked for: without "
        "--no-as-scanned (as_scanned over HTTP) they are registered and stripped first. To segment them as they are, "
        "with false positives, use --allow-whole-head, or allow_whole_head over HTTP."
    )


def _not_stripped(tissue_ml: float) -> str:
    return f"The volumes do not look skull-stripped: they show {tissue_ml:.0f} mL of tissue, more than any brain."


def _overlap_warning(
    role: str, reference: str, mask: np.ndarray, other: np.ndarray, voxel_ml: float, noisy: Sequence[str]
) -> list[str]:
    """Return the warning about two volumes that do not show the same, or nothing."""
    shared = dice(mask, other)
    if shared >= (_REGISTERED_IN_NOISE if {role, reference} & {*noisy} else _REGISTERED):
        return []
    sizes = np.count_nonzero(mask), np.count_nonzero(other)
    if np.count_nonzero(mask & other) >= _WITHIN * min(sizes):
        return [
            f"{TITLES[role]} shows {sizes[0] * voxel_ml:.0f} mL of tissue and {TITLES[reference]} "
            f"{sizes[1] * voxel_ml:.0f} mL: one of them is not skull-stripped, or shows a part of the brain only."
        ]
    return [
        f"{TITLES[role]} and {TITLES[reference]} do not lie on each other: the Dice of their brains is {shared:.0%}. "
        "Register the volumes first."
    ]


def _missing_warning(missing: Sequence[str], reference: str) -> str:
    """Return the warning about missing modalities; training drops one at a time (training.fitting.augment)."""
    names = ", ".join(display_name(role) for role in missing)
    if len(missing) == 1:
        text = (
            f"{names} was missing; the network was trained to work without any single modality, but is less accurate."
        )
    else:
        text = f"{names} were missing; the network was trained to work without a single one. Expect a worse result."
    if is_estimated(missing):
        text += " It was estimated from the other volumes."
    if "t1ce" in missing:
        text += " Enhancing tumor is not visible without contrast agent."
        text += f" The result lies on the grid of {TITLES[reference]}."
    return text
