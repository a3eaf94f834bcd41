"""Normalized mutual information of two volumes at any rigid position.

Studholme et al. 1999, doi:10.1016/S0031-3203(98)00091-0: ``(H(fixed) + H(moving)) / H(fixed, moving)`` of the points
that both volumes cover; 1 for independent images, 2 for equal ones. It depends on sampling and smoothing: values of
different :class:`Comparison` objects must not be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.images.derived_grids import canonical_grid
from training.images.grid import Volume, transform_points
from training.images.resample import resample_linear

#: Below this share of common points there is no statement; the similarity is then 1.
_MIN_OVERLAP = 0.35


@dataclass(frozen=True, eq=False)
class Head:
    """A volume prepared for registration.

    Attributes:
        image: Smoothed, isotropic along its own axes; float32, from 0 (darkest) to 1 (brightest tissue).
        mask: Boolean of its shape: the head with a margin of the surrounding air.
        center: Center of the head in RAS mm.
    """

    image: Volume
    mask: np.ndarray
    center: np.ndarray


def prepared(volume: Volume, spacing_mm: float, mask: Volume | None = None, margin_mm: float = 12.0) -> Head:
    """Smooth and resample a volume along its own axes, and find the head in it.

    Args:
        volume: Any modality, with skull or without; sheared and oblique grids included.
        spacing_mm: Of the result.
        mask: What to compare, instead of the head that is found; on any grid.
        margin_mm: How much around the head belongs to its mask.
    """
    from scipy import ndimage

    grid = canonical_grid(volume.grid, spacing_mm)
    data = resample_linear(
        volume.data, np.linalg.inv(volume.grid.affine) @ grid.affine, grid.shape, float(volume.data.min())
    )
    data = ndimage.gaussian_filter(data, 0.7, mode="nearest")
    if mask is None:
        inside = _foreground(data)
    else:
        to_mask = np.linalg.inv(mask.grid.affine) @ grid.affine
        inside = resample_linear(mask.data > 0, to_mask, grid.shape, 0) >= 0.5
    if not inside.any():
        inside = np.ones(grid.shape, bool)
    low, high = np.percentile(data[inside], (1, 99))
    low = min(low, float(np.percentile(data, 2)))
    scaled = np.clip((data - low) / max(high - low, 1e-6), 0, 1).astype(np.float32)
    center = transform_points(grid.affine, np.array(ndimage.center_of_mass(inside)))
    steps = max(1, round(margin_mm / spacing_mm))
    near = ndimage.binary_dilation(inside, iterations=steps)
    return Head(Volume(scaled, grid), near, center)


class Comparison:
    """The similarity of two heads as a function of the position.

    Args:
        fixed: Its points are looked up in ``moving``.
        moving: The other head.
        points: Number of random points of the fixed head.
        bins: Number of intensity levels of each.
    """

    def __init__(self, fixed: Head, moving: Head, points: int, bins: int = 32) -> None:
        rng = np.random.default_rng(18)
        index = np.argwhere(fixed.mask)
        if len(index) > points:
            index = index[rng.choice(len(index), points, replace=False)]
        at = index + rng.uniform(-0.5, 0.5, index.shape)  # off the lattice, else whole voxel shifts are preferred
        self.points = transform_points(fixed.image.grid.affine, at)
        self._bins = bins
        self._fixed = np.rint(_values(fixed.image.data, at.T) * (bins - 1)).astype(np.int32) * (bins + 1)
        self._moving = moving.image.data * np.float32(bins - 1)
        self._to_index = np.linalg.inv(moving.image.grid.affine)
        self._last = np.array(self._moving.shape)[:, None] - 0.5

    def similarity(self, matrix: np.ndarray) -> float:
        """Return the normalized mutual information.

        Args:
            matrix: 4x4, RAS mm of the fixed frame to RAS mm of the moving frame.
        """
        to_index = self._to_index @ matrix
        at = to_index[:3, :3] @ self.points.T + to_index[:3, 3:]
        inside = np.all((at > -0.5) & (at < self._last), axis=0)
        if np.count_nonzero(inside) < _MIN_OVERLAP * len(inside):
            return 1.0
        value = _values(self._moving, at[:, inside])
        lower = value.astype(np.int32)
        share = value - lower
        cell = self._fixed[inside] + lower
        size = self._bins * (self._bins + 1) + 1
        # each value counts in its two neighboring bins, so that the similarity changes smoothly with the position
        joint = np.bincount(cell, 1 - share, size)
        joint += np.bincount(cell + 1, share, size)
        joint = joint[:-1].reshape(self._bins, self._bins + 1)
        together = _entropy(joint.ravel())
        return (_entropy(joint.sum(0)) + _entropy(joint.sum(1))) / together if together > 0 else 1.0


def _values(data: np.ndarray, at: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return ndimage.map_coordinates(data, at, order=1, mode="nearest", prefilter=False)


def _entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def _foreground(data: np.ndarray) -> np.ndarray:
    """Return the head: the largest region above Otsu's threshold, closed."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    from training.images.masks import large_components

    clipped = np.minimum(data, np.percentile(data, 99))
    if clipped.min() == clipped.max():
        return np.ones(data.shape, bool)
    inside = large_components(clipped > threshold_otsu(clipped) * 0.6, data.size)
    return ndimage.binary_fill_holes(ndimage.binary_closing(inside, iterations=2))
