"""What the network's answer goes through before anybody sees it.

Three rules, each measured (``docs/ablations.md``): small lesions are more often vessels or bright cortex than tumor,
the more so in a head without a large one; what lies within the core is
core, since edema surrounds it by definition; and enhancing tumor too small to be meant is counted as core that does
not enhance (the usual step for BraTS: Isensee et al. 2021, arXiv:2011.00848).
"""

from __future__ import annotations

import numpy as np

from training.labels import ED, ET, NCR
from training.resample import bounding_box

#: A connected lesion smaller than this is dropped.
MIN_LESION_ML = 1.0

#: If the largest lesion is smaller than this, none is reported.
MIN_LARGEST_ML = 2.0

#: Less enhancing tumor than this in the whole brain becomes necrotic or non-enhancing core.
MIN_ENHANCING_ML = 0.5

#: Gaps in the rim of a core up to about twice this wide are bridged to tell what lies within.
CORE_CLOSING_MM = 6.0


def most_probable(scores: np.ndarray, brain: np.ndarray, *, voxel_ml: float) -> np.ndarray:
    """Decide for a label in each voxel: the most probable, less what is too small to be meant.

    Args:
        scores: ``(x, y, z, class)``, probabilities or logits.
        brain: ``(x, y, z)`` bool; outside there is no tumor.
        voxel_ml: Volume of one voxel in mL.

    Returns:
        ``(x, y, z)`` uint8, cleaned by :func:`clean`.
    """
    labels = np.argmax(scores, axis=-1).astype(np.uint8)
    labels[~brain] = 0
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
    """Remove small connected lesions, and all of them if none is large, in place."""
    from scipy import ndimage

    parts, _ = ndimage.label(labels > 0, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel()) * voxel_ml
    dropped = sizes < (MIN_LESION_ML if sizes[1:].max() >= MIN_LARGEST_ML else MIN_LARGEST_ML)
    dropped[0] = False
    labels[dropped[parts]] = 0


def _fill_core(labels: np.ndarray, radius: float) -> None:
    """Turn edema within the core into core, in place: closing by a ball of ``radius`` voxels, then holes."""
    from scipy import ndimage

    core = (labels == NCR.value) | (labels == ET.value)
    if not core.any():
        return
    margin = int(np.ceil(radius)) + 2
    padded = np.pad(core, margin)
    # a closing by distances costs the same for any radius
    wide = ndimage.distance_transform_edt(~padded) <= radius
    closed = (ndimage.distance_transform_edt(wide) > radius) | padded
    within = ndimage.binary_fill_holes(closed)[(slice(margin, -margin),) * 3]
    labels[within & (labels == ED.value)] = NCR.value
