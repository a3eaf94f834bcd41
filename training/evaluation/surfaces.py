"""Distances between the surfaces of two masks, with the area of each surface element.

The definition is that of Nikolov et al. 2021, "Clinically Applicable Segmentation of Head and Neck Anatomy for
Radiotherapy" (doi:10.2196/26151), which BraTS 2023 uses as well: surface elements lie at the corners of voxels, where
the eight voxels around are not all inside or all outside, and have the area of the marching cubes' surface between
these eight. Their package ``surface-distance`` 0.1 (Apache-2.0) gives the same numbers. It is not used because it calls
what NumPy 2 has removed and SciPy will remove, and computes distance maps of the whole box, which takes seconds for a
false lesion at the other end of the head; MONAI's version needs torch and takes longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from training.images.masks import bounding_box

#: One voxel to the side is 1 mm also where a header says 1.0000001 mm.
_ROUNDING_MM = 1e-3


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """The distance of each surface element of two masks to the nearest one of the other mask.

    Attributes:
        truth_mm: ``(m,)`` distances from the truth to the prediction, in mm.
        truth_mm2: ``(m,)`` areas of these elements of the truth, in mm².
        prediction_mm: ``(n,)`` distances from the prediction to the truth, in mm.
        prediction_mm2: ``(n,)`` areas of these elements of the prediction, in mm².
    """

    truth_mm: np.ndarray
    truth_mm2: np.ndarray
    prediction_mm: np.ndarray
    prediction_mm2: np.ndarray

    def dice(self, tolerance_mm: float) -> float:
        """Return the surface Dice, 0-1: the part of both surfaces' area that is near the other surface.

        Args:
            tolerance_mm: The largest distance that counts as near.
        """
        limit = tolerance_mm + _ROUNDING_MM
        near = self.truth_mm2[self.truth_mm <= limit].sum() + self.prediction_mm2[self.prediction_mm <= limit].sum()
        return float(near / (self.truth_mm2.sum() + self.prediction_mm2.sum()))

    def hd95(self) -> float:
        """Return the larger of the two distances, in mm, within which 95 percent of a surface's area lie.

        :func:`training.evaluation.metrics.hd95` counts voxels of the surface instead, as BraTS did before 2023.
        """
        return max(_reach(self.truth_mm, self.truth_mm2), _reach(self.prediction_mm, self.prediction_mm2))


def surface_distances(prediction: np.ndarray, truth: np.ndarray, spacing: Sequence[float]) -> SurfaceDistances:
    """Measure the distances between the surfaces of two masks.

    Args:
        prediction: ``(x, y, z)`` bool. The end of the array is a surface as well.
        truth: The same.
        spacing: Voxel size along the axes, in mm.

    Raises:
        ValueError: If a mask is empty: it has no surface.
    """
    from scipy.spatial import KDTree

    points, areas = _surface(prediction, spacing)
    true_points, true_areas = _surface(truth, spacing)
    return SurfaceDistances(
        KDTree(points).query(true_points)[0], true_areas, KDTree(true_points).query(points)[0], areas
    )


def _reach(distances: np.ndarray, areas: np.ndarray) -> float:
    order = np.argsort(distances)
    covered = np.cumsum(areas[order])
    return float(distances[order][np.searchsorted(covered, 0.95 * covered[-1])])


def _surface(mask: np.ndarray, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions ``(n, 3)`` of the surface elements, in mm, and their areas ``(n,)``, in mm²."""
    box = bounding_box(mask)
    if box is None:
        raise ValueError("an empty mask has no surface")
    inside = np.pad(mask[box], 1).astype(np.uint8)
    codes = np.zeros([size - 1 for size in inside.shape], np.uint8)
    for bit, corner in enumerate(np.ndindex(2, 2, 2)):
        window = tuple(slice(at, at + size) for at, size in zip(corner, codes.shape, strict=True))
        codes |= inside[window] * np.uint8(1 << bit)
    at = np.nonzero((codes > 0) & (codes < 255))
    points = np.stack(at, axis=1) + [side.start for side in box]
    return points * np.asarray(spacing, float), _areas(tuple(map(float, spacing)))[codes[at]]


@lru_cache(maxsize=8)
def _areas(spacing: tuple[float, float, float]) -> np.ndarray:
    """Return the area of the surface between eight voxels, in mm², by code: bit ``4x + 2y + z`` is voxel (x, y, z)."""
    from skimage.measure import marching_cubes, mesh_surface_area

    areas = np.zeros(256)
    for code in range(1, 255):
        voxels = (code >> np.arange(8) & 1).reshape(2, 2, 2).astype(np.float32)
        vertices, faces, _, _ = marching_cubes(voxels, 0.5, spacing=spacing, method="lorensen")
        areas[code] = mesh_surface_area(vertices, faces)
    # Where diagonal voxels may or may not be connected, the surface is that of the smaller area, seen from both sides.
    return np.minimum(areas, areas[::-1])
