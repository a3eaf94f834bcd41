"""The robot corrector: the label that a clinician would submit, made of the truth and the model's answer.

The model of a clinician, and its assumptions:

1. They know the truth, but draw its boundary with a smooth error. The boundaries of the whole tumor, the core and the
   enhancing tumor are displaced by one random field with details of about 8 voxels and a deviation of half a voxel,
   cut off at one voxel. As the field is shared, the three stay nested.
2. They correct what they see. A connected changed region below 0.05 mL (a sphere of 2.3 mm radius) is not noticed:
   there the answer stays, right or wrong. So a label is biased toward the answer, as corrected labels are.
3. They neither tire nor learn, and miss no larger mistake.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from training.images.masks import bounding_box
from training.labels import ED, ET, NCR, region_mask
from training.phantoms.fields import Shape, smooth_noise

#: Deviation of the boundary's error, in voxels.
JITTER_VOXELS = 0.5
#: Largest error of the boundary, in voxels.
MAX_JITTER_VOXELS = 1.0
#: Size of the details of that error, in voxels.
JITTER_SCALE = 8.0
#: A connected changed region below this volume stays uncorrected.
SPECK_ML = 0.05


def submitted_label(
    answer: np.ndarray, truth: np.ndarray, spacing: Sequence[float], *, seed: int, case: str
) -> np.ndarray:
    """Return the label that is submitted for a case.

    Args:
        answer: ``(x, y, z)`` uint8, values of :mod:`training.labels`.
        truth: The same.
        spacing: Voxel size along the axes, in mm.
        seed: Seed of the clinician; the same seed, case and arrays give the same label.
        case: Id of the case, so that cases differ in their errors.
    """
    from scipy import ndimage

    rng = np.random.default_rng([seed, zlib.crc32(case.encode())])
    drawn = drawn_truth(truth, spacing, rng)
    regions, _ = ndimage.label(answer != drawn, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(regions.ravel()) * float(np.prod(spacing)) / 1000
    unseen = sizes < SPECK_ML
    return np.where(unseen[regions], answer, drawn).astype(np.uint8)


def drawn_truth(truth: np.ndarray, spacing: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Return the truth with displaced boundaries, uint8; errors are in voxels along the finest axis.

    Args:
        truth: ``(x, y, z)`` uint8, values of :mod:`training.labels`.
        spacing: Voxel size along the axes, in mm.
        rng: Random generator.
    """
    drawn = np.zeros(truth.shape, np.uint8)
    box = bounding_box(truth > 0, margin=3)
    if box is None:
        return drawn
    here = truth[box]
    shape: Shape = here.shape  # type: ignore[assignment]
    error = np.clip(
        JITTER_VOXELS * smooth_noise(rng, shape, JITTER_SCALE), -MAX_JITTER_VOXELS, MAX_JITTER_VOXELS
    ) * min(spacing)
    for region, value in (("WT", ED.value), ("TC", NCR.value), ("ET", ET.value)):
        mask = region_mask(here, region)
        if mask.any():
            drawn[box][_depth(mask, spacing) + error > 0] = value
    return drawn


def _depth(mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Return the distance to the boundary of a mask in mm, positive inside."""
    from scipy import ndimage

    half = min(spacing) / 2
    inside, outside = (ndimage.distance_transform_edt(side, sampling=spacing) for side in (mask, ~mask))
    return np.where(mask, inside - half, half - outside)
