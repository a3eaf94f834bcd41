"""Postprocessing: thresholds turn probabilities into labels, and small lesions are dropped.

A voxel is tumor, core or enhancing if the probability of that region reaches its threshold. Three rules follow, each of
them measured (``docs/ablations.md``):

1. Connected lesions below 1 mL are dropped; without a core of at least 0.1 mL, below 10 mL. The edema of a glioma
   surrounds a core, while bright cortex and white-matter lesions have none.
2. Edema inside the core becomes core.
3. Enhancing tumor below 0.5 mL in the whole brain becomes non-enhancing core, as is usual for BraTS (Isensee et al.
   2021, arXiv:2011.00848).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from training.images.masks import bounding_box, near
from training.labels import ED, ET, NCR, region_mask

#: Probability from which a voxel belongs to a region, if it also belongs to the enclosing one. For the whole tumor it
#: is below one half: the threshold that maximizes the expected Dice is half of that Dice (Lipton et al. 2014,
#: arXiv:1402.1892), and lower for an overconfident network.
MIN_PROBABILITY = {"WT": 0.45, "TC": 0.5, "ET": 0.5}

#: Connected lesions smaller than this are dropped.
MIN_LESION_ML = 1.0

#: A lesion with less core (necrotic, non-enhancing or enhancing) than this counts as a lesion without a core.
MIN_CORE_ML = 0.1

#: Connected lesions without a core are dropped below this volume. Larger ones are kept: their core may have been
#: missed, as happens without T1ce.
MIN_CORELESS_ML = 10.0

#: If there is less enhancing tumor than this in the whole brain, it becomes non-enhancing core.
MIN_ENHANCING_ML = 0.5

#: Radius of the closing of the core; it bridges gaps of up to about twice this width in the rim.
CORE_CLOSING_MM = 6.0


def settings() -> dict[str, Any]:
    """Return the settings of these rules, JSON-ready, as provenance of a result."""
    return {
        "min_probability": dict(MIN_PROBABILITY),
        "min_lesion_ml": MIN_LESION_ML,
        "min_core_ml": MIN_CORE_ML,
        "min_coreless_ml": MIN_CORELESS_ML,
        "min_enhancing_ml": MIN_ENHANCING_ML,
        "core_closing_mm": CORE_CLOSING_MM,
    }


def decide(probabilities: np.ndarray, brain: np.ndarray, *, voxel_ml: float) -> np.ndarray:
    """Threshold the probabilities and apply :func:`clean`.

    Args:
        probabilities: ``(x, y, z, class)``, 0-1, the classes in the order of the label values, background first.
        brain: ``(x, y, z)`` bool; there is no tumor outside.
        voxel_ml: Volume of one voxel in mL.

    Returns:
        ``(x, y, z)`` uint8.
    """
    labels = np.zeros(brain.shape, np.uint8)
    enhancing = probabilities[..., ET.value]
    tumor = brain & (probabilities[..., 0] <= 1 - MIN_PROBABILITY["WT"])
    core = tumor & (probabilities[..., NCR.value] + enhancing >= MIN_PROBABILITY["TC"])
    labels[tumor] = ED.value
    labels[core] = NCR.value
    labels[core & (enhancing >= MIN_PROBABILITY["ET"])] = ET.value
    return clean(labels, voxel_ml=voxel_ml)


def clean(labels: np.ndarray, *, voxel_ml: float) -> np.ndarray:
    """Drop small lesions, fill the core, and relabel small enhancing tumors: the three rules of this module.

    Args:
        labels: ``(x, y, z)`` uint8, values of :mod:`training.labels`, on isotropic voxels; not changed.
        voxel_ml: Volume of one voxel in mL.

    Returns:
        A new labelmap of the same shape.
    """
    result = labels.copy()
    box = bounding_box(labels > 0)
    if box is None:
        return result
    inside = result[box]  # a view: far less work than on the whole head
    _drop_small_lesions(inside, voxel_ml)
    # rounded: some voxels lie at exactly this distance, and the float32 header of an oblique grid leaves 1.0000001 mm
    _fill_core(inside, round(CORE_CLOSING_MM / (1000 * voxel_ml) ** (1 / 3), 3))
    enhancing = inside == ET.value
    if np.count_nonzero(enhancing) * voxel_ml < MIN_ENHANCING_ML:
        inside[enhancing] = NCR.value
    return result


def _drop_small_lesions(labels: np.ndarray, voxel_ml: float) -> None:
    """Remove small lesions, and larger ones without a core, in place (26-neighborhood)."""
    from scipy import ndimage

    parts, _ = ndimage.label(labels > 0, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel()) * voxel_ml
    cores = np.bincount(parts[region_mask(labels, "TC")], minlength=sizes.size) * voxel_ml
    dropped = sizes < np.where(cores >= MIN_CORE_ML, MIN_LESION_ML, MIN_CORELESS_ML)
    dropped[0] = False
    labels[dropped[parts]] = 0


def _fill_core(labels: np.ndarray, radius: float) -> None:
    """Turn edema inside the core into core, in place: closing with a ball of ``radius`` voxels, then filling holes."""
    from scipy import ndimage

    core = region_mask(labels, "TC")
    box = bounding_box(core)  # neither of both adds anything outside of it
    if box is None:
        return
    margin = int(np.ceil(radius)) + 2
    padded = np.pad(core[box], margin)
    closed = ~near(~near(padded, radius), radius) | padded
    within = ndimage.binary_fill_holes(closed)[(slice(margin, -margin),) * 3]
    inside = labels[box]
    inside[within & (inside == ED.value)] = NCR.value
