"""Segmentation metrics: Dice per region, the 95th percentile Hausdorff distance, surface Dice, and volume errors.

Convention for empty regions, as in the BraTS evaluations: if neither the truth nor the prediction holds the region,
Dice and surface Dice are 1 and HD95 is 0; if only one of them does, both Dice are 0 and HD95 is undefined (``nan``). A
volume error in percent is undefined where the truth is empty. Undefined values are left out of means, and their number
is reported. Lesion-wise metrics are in :mod:`training.evaluation.lesions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.evaluation.surfaces import surface_distances
from training.images.masks import bounding_box, dice
from training.labels import LABELS, REGIONS, region_mask

#: Tolerance of the surface Dice: one voxel of BraTS.
TOLERANCE_MM = 1.0


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
    from scipy.spatial import KDTree

    prediction, truth = prediction.astype(bool), truth.astype(bool)
    box = bounding_box(prediction | truth, margin=1)
    if box is None:
        return 0.0
    if not prediction.any() or not truth.any():
        return float("nan")
    points, true_points = _surface(prediction[box], spacing), _surface(truth[box], spacing)
    # A distance map would take ten times as long: it covers the whole head if there is a false lesion.
    distances = KDTree(true_points).query(points)[0], KDTree(points).query(true_points)[0]
    return max(float(np.percentile(distance, 95)) for distance in distances)


def surface_dice(
    prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float], tolerance_mm: float = TOLERANCE_MM
) -> float:
    """Return the surface Dice (normalized surface distance; Nikolov et al. 2021, doi:10.2196/26151) of two masks.

    That is the part of both surfaces' area that lies within the tolerance of the other surface.

    Args:
        prediction: Mask ``(x, y, z)``.
        truth: Mask of the same shape.
        spacing: Voxel size along the axes, in mm.
        tolerance_mm: Distance to the other surface that counts as right.

    Returns:
        A number from 0 to 1; 1 if both masks are empty, 0 if one is.
    """
    prediction, truth = prediction.astype(bool), truth.astype(bool)
    if not prediction.any() or not truth.any():
        return float(prediction.any() == truth.any())
    return surface_distances(prediction, truth, spacing).dice(tolerance_mm)


def region_surface_dice(prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float]) -> dict[str, float]:
    """Return the surface Dice of WT, TC and ET at :data:`TOLERANCE_MM` for two labelmaps ``(x, y, z)``.

    Args:
        prediction: Internal values.
        truth: The same.
        spacing: Voxel size along the axes, in mm.
    """
    pairs = {name: (region_mask(prediction, name), region_mask(truth, name)) for name in REGIONS}
    return {name: surface_dice(*pair, spacing) for name, pair in pairs.items()}


def boundary_faces(labelmap: np.ndarray) -> int:
    """Return the number of voxel faces ``(x, y, z)`` between different labels.

    It tells in advance what a surface distance costs: the surfaces of all regions have hardly more elements together.
    """
    ahead = [np.moveaxis(labelmap, axis, 0) for axis in range(labelmap.ndim)]
    return sum(int(np.count_nonzero(one[1:] != one[:-1])) for one in ahead)


def changed_ml(before: np.ndarray, after: np.ndarray, voxel_ml: float) -> float:
    """Return the volume of the voxels whose label differs between two labelmaps of one shape, in mL.

    Args:
        before: Internal values.
        after: The same.
        voxel_ml: Volume of a voxel, in mL.
    """
    return int(np.count_nonzero(before != after)) * voxel_ml


def volume_errors(predicted_ml: float, true_ml: float) -> tuple[float, float | None]:
    """Return how much too large a predicted volume is, in mL and in percent of the true volume.

    Both are negative if it is too small. The percentage is ``None`` if the true volume is 0, also if both are.

    Args:
        predicted_ml: Predicted volume, in mL.
        true_ml: True volume, in mL.
    """
    error = predicted_ml - true_ml
    return round(error, 3), round(100 * error / true_ml, 2) if true_ml else None


def _surface(mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Return the positions ``(n, 3)`` of the voxels at the surface, in mm."""
    from scipy import ndimage

    return np.argwhere(mask & ~ndimage.binary_erosion(mask)) * np.asarray(spacing, float)
