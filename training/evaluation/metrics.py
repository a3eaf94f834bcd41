"""Segmentation metrics: Dice per region and the 95th percentile Hausdorff distance.

Convention for empty regions, as in the BraTS evaluations: if neither the truth nor the prediction holds the region,
Dice is 1 and HD95 is 0; if only one of them does, Dice is 0 and HD95 is undefined (``nan``). Undefined values are left
out of means, and their number is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.images.masks import bounding_box, dice
from training.labels import LABELS, REGIONS, region_mask


def region_dice(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return the Dice of WT, TC and ET for two labelmaps of internal values."""
    return {name: dice(region_mask(prediction, name), region_mask(truth, name)) for name in REGIONS}


def label_dice(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return the Dice of each single label (``NCR``, ``ED``, ``ET``)."""
    return {label.key: dice(prediction == label.value, truth == label.value) for label in LABELS}


def mean_dice(per_case: Sequence[Mapping[str, float]]) -> float:
    """Return the mean over cases and regions: the number by which models are compared."""
    return float(np.mean([[case[name] for name in REGIONS] for case in per_case]))


def hd95(prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float]) -> float:
    """Return the symmetric 95th percentile Hausdorff distance between the surfaces of two masks.

    The surface is the mask minus its erosion by one voxel (6-neighborhood); the larger of the two directed 95th
    percentiles is returned, as in the BraTS evaluations.

    Args:
        prediction: Mask ``(x, y, z)``.
        truth: Mask of the same shape.
        spacing: Voxel size along the axes, in mm.

    Returns:
        Millimeters; 0 if both masks are empty, ``nan`` if one is.
    """
    prediction, truth = prediction.astype(bool), truth.astype(bool)
    box = bounding_box(prediction | truth, margin=1)
    if box is None:
        return 0.0
    if not prediction.any() or not truth.any():
        return float("nan")
    prediction, truth = prediction[box], truth[box]
    return max(_directed_95(prediction, truth, spacing), _directed_95(truth, prediction, spacing))


def _directed_95(mask: np.ndarray, other: np.ndarray, spacing: Sequence[float]) -> float:
    from scipy import ndimage

    distance = ndimage.distance_transform_edt(~_surface(other), sampling=spacing)
    return float(np.percentile(distance[_surface(mask)], 95))


def _surface(mask: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    surface: np.ndarray = mask & ~ndimage.binary_erosion(mask)
    return surface
