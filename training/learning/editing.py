"""Editing time: the estimated seconds to correct an answer into the submitted label.

The model has two terms: seconds for each changed region, which has to be found and selected, and seconds for each mL of
changed surface, which has to be redrawn. The surface is what is drawn, not the volume: of the measures that Vaassen et
al. 2020 (doi:10.1016/j.phro.2019.12.001) compared, the added path length, the part of the new contour that the old one
does not have, told the time saved best. This is its form in three dimensions: for each label, the voxels at its surface
in the submitted label that are farther than a tolerance from its surface in the answer. Nothing is counted for looking
at the case.

The constants are set by two published times: drawing by hand took 10 minutes, and correcting the answer of a network 2
minutes (Chlebus et al. 2019, livers, doi:10.1371/journal.pone.0217228). For the labels that
:mod:`training.learning.robot` submits for 14 patients of TCGA, the medians are 1 region and 36.6 mL if the answer is
empty, and 11.5 regions and 5.21 mL from the answers of v0000; the constants make these 10 and 2 minutes. Simulated
interaction with a semi-automatic tool took 46 s for a brain tumor, loading included (Gering et al. 2020,
doi:10.3389/fncom.2020.00032), so the change of the time says more than its height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.images.masks import bounding_box
from training.labels import LABELS
from training.learning.robot import SPECK_ML

#: To find, select and finish one changed region.
SECONDS_PER_REGION = 3.0
#: To redraw 1 mL of surface, one voxel thick: on voxels of 1 mm, 10 cm².
SECONDS_PER_ML = 16.3
#: What is no farther from a boundary of the answer is left as it is: experts differ by as much.
TOLERANCE_MM = 2.0
_ROUNDING_MM = 1e-3


@dataclass(frozen=True)
class Editing:
    """What has to be changed in an answer.

    Attributes:
        regions: Connected regions (26-neighborhood) of changed voxels that reach beyond the tolerance, of at least
            :data:`training.learning.robot.SPECK_ML`. One that is thin between thicker parts, as the shell around a
            tumor that is too large, counts as its parts.
        surface_ml: Changed surface, one voxel thick, in mL.
    """

    regions: int
    surface_ml: float

    @property
    def seconds(self) -> float:
        """Estimated seconds."""
        return SECONDS_PER_REGION * self.regions + SECONDS_PER_ML * self.surface_ml


def editing(answer: np.ndarray, submitted: np.ndarray, spacing: Sequence[float]) -> Editing:
    """Measure what has to be changed in an answer; nothing if the two are equal.

    Args:
        answer: ``(x, y, z)`` uint8, values of :mod:`training.labels`.
        submitted: The same after the correction.
        spacing: Voxel size along the axes, in mm.
    """
    voxel_ml = float(np.prod(spacing)) / 1000
    surface = sum(_changed_surface(answer == label.value, submitted == label.value, spacing) for label in LABELS)
    return Editing(_changed_regions(answer, submitted, spacing, voxel_ml), surface * voxel_ml)


def _changed_regions(answer: np.ndarray, submitted: np.ndarray, spacing: Sequence[float], voxel_ml: float) -> int:
    from scipy import ndimage

    reach = [int(TOLERANCE_MM / side) + 1 for side in spacing]
    box = bounding_box(answer != submitted, margin=reach)
    if box is None:
        return 0
    every = np.ones((3, 3, 3))
    changed = answer[box] != submitted[box]
    beyond = changed & (_distance_to_boundary(answer[box], spacing) > TOLERANCE_MM)
    regions, count = ndimage.label(changed, every)
    parts, _ = ndimage.label(beyond, every)
    large = np.bincount(regions.ravel()) * voxel_ml >= SPECK_ML
    large[0] = False
    noticed = np.zeros(count + 1, bool)
    noticed[regions[beyond]] = True
    thick, first = np.unique(parts, return_index=True)
    thick_enough = (np.bincount(parts.ravel()) * voxel_ml >= SPECK_ML) & (thick > 0)
    parts_of = np.bincount(regions.ravel()[first[thick_enough]], minlength=count + 1)
    return int(np.maximum(parts_of, 1)[large & noticed].sum())


def _distance_to_boundary(labels: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Return the distance of each voxel to the nearest one of another label, in mm."""
    from scipy import ndimage

    present = np.unique(labels)
    if len(present) == 1:
        return np.full(labels.shape, np.inf)
    return sum(ndimage.distance_transform_edt(labels == value, sampling=spacing) for value in present)


def _changed_surface(before: np.ndarray, after: np.ndarray, spacing: Sequence[float]) -> int:
    """Return the number of surface voxels of a mask that are not near the surface it had before."""
    from scipy.spatial import KDTree

    new = _surface(after, spacing)
    old = _surface(before, spacing)
    if not len(new) or not len(old):
        return len(new)
    nearest, _ = KDTree(old).query(new, distance_upper_bound=TOLERANCE_MM + _ROUNDING_MM)
    return int(np.count_nonzero(np.isinf(nearest)))


def _surface(mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Return the positions ``(n, 3)`` of the voxels at the surface (6-neighborhood), in mm."""
    from scipy import ndimage

    box = bounding_box(mask, margin=1)
    if box is None:
        return np.zeros((0, 3))
    inside = mask[box]
    first = [side.start for side in box]
    return (np.argwhere(inside & ~ndimage.binary_erosion(inside)) + first) * np.asarray(spacing, float)
