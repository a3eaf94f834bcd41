"""From the network's probabilities to the labels that people see: what region a voxel is in, and what is cleaned away.

A voxel is tumor, core, enhancing if the probability of that region reaches its threshold. Then come three rules of
cleaning, each measured (``docs/ablations.md``): specks are dropped, and so is what has no core and is not large,
since a glioma's edema surrounds a core while bright cortex and white-matter lesions have none; what lies within the
core is core for the same reason; and enhancing tumor too small to be meant is counted as core that does not enhance
(the usual step for BraTS: Isensee et al. 2021, arXiv:2011.00848).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from training.images.masks import bounding_box
from training.labels import ED, ET, NCR, region_mask

#: A voxel belongs to a region from this probability on, if it also belongs to the one around it. For the whole tumor
#: less than a half: the threshold of the highest Dice to be expected is half of that Dice (Lipton et al. 2014,
#: arXiv:1402.1892), and less for a network that is too sure of itself.
MIN_PROBABILITY = {"WT": 0.35, "TC": 0.5, "ET": 0.5}

#: A connected lesion smaller than this is dropped.
MIN_LESION_ML = 1.0

#: With less necrotic, non-enhancing or enhancing core than this, a lesion counts as one without a core.
MIN_CORE_ML = 0.1

#: A connected lesion without a core is dropped below this. A larger one is kept: its core may only have been missed,
#: as happens without T1ce.
MIN_CORELESS_ML = 10.0

#: Less enhancing tumor than this in the whole brain becomes necrotic or non-enhancing core.
MIN_ENHANCING_ML = 0.5

#: Gaps in the rim of a core up to about twice this wide are bridged to tell what lies within.
CORE_CLOSING_MM = 6.0


def settings() -> dict[str, Any]:
    """Return what the rules are set to, JSON-ready, for those who note how an answer was made."""
    return {
        "min_probability": dict(MIN_PROBABILITY),
        "min_lesion_ml": MIN_LESION_ML,
        "min_core_ml": MIN_CORE_ML,
        "min_coreless_ml": MIN_CORELESS_ML,
        "min_enhancing_ml": MIN_ENHANCING_ML,
        "core_closing_mm": CORE_CLOSING_MM,
    }


def decide(probabilities: np.ndarray, brain: np.ndarray, *, voxel_ml: float) -> np.ndarray:
    """Decide for a label in each voxel, less what is too small to be meant.

    Args:
        probabilities: ``(x, y, z, class)``, 0-1, the classes in the order of the labels' values, background first.
        brain: ``(x, y, z)`` bool; outside there is no tumor.
        voxel_ml: Volume of one voxel in mL.

    Returns:
        ``(x, y, z)`` uint8, cleaned by :func:`clean`.
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
    """Apply the three rules.

    Args:
        labels: ``(x, y, z)`` uint8, values of :mod:`training.labels`, on isotropic voxels; is left alone.
        voxel_ml: Volume of one voxel in mL.

    Returns:
        A new labelmap of the same shape.
    """
    result = labels.copy()
    box = bounding_box(labels > 0)
    if box is None:
        return result
    inside = result[box]  # a view: far less work than the whole head
    _drop_specks(inside, voxel_ml)
    _fill_core(inside, CORE_CLOSING_MM / (1000 * voxel_ml) ** (1 / 3))
    enhancing = inside == ET.value
    if np.count_nonzero(enhancing) * voxel_ml < MIN_ENHANCING_ML:
        inside[enhancing] = NCR.value
    return result


def _drop_specks(labels: np.ndarray, voxel_ml: float) -> None:
    """Remove small connected lesions, and those without a core that are not large, in place."""
    from scipy import ndimage

    parts, _ = ndimage.label(labels > 0, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel()) * voxel_ml
    cores = np.bincount(parts[region_mask(labels, "TC")], minlength=sizes.size) * voxel_ml
    dropped = sizes < np.where(cores >= MIN_CORE_ML, MIN_LESION_ML, MIN_CORELESS_ML)
    dropped[0] = False
    labels[dropped[parts]] = 0


def _fill_core(labels: np.ndarray, radius: float) -> None:
    """Turn edema within the core into core, in place: closing by a ball of ``radius`` voxels, then holes."""
    from scipy import ndimage

    core = region_mask(labels, "TC")
    if not core.any():
        return
    margin = int(np.ceil(radius)) + 2
    padded = np.pad(core, margin)
    # a closing by distances costs the same for any radius
    wide = ndimage.distance_transform_edt(~padded) <= radius
    closed = (ndimage.distance_transform_edt(wide) > radius) | padded
    within = ndimage.binary_fill_holes(closed)[(slice(margin, -margin),) * 3]
    labels[within & (labels == ED.value)] = NCR.value
