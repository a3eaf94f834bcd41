"""Normalized mutual information of two volumes at any rigid position.

Studholme et al. 1999, doi:10.1016/S0031-3203(98)00091-0: ``(H(fixed) + H(moving)) / H(fixed, moving)`` of the points
that both volumes cover; 1 for independent images, 2 for equal ones. It depends on sampling and smoothing: values of
different :class:`Comparison` objects must not be compared.
"""

from __future__ import annotations

import numpy as np

from training.images.grid import Volume, transform_points
from training.registration.head import Head

#: Smallest share of the smaller head that must be compared; below, the similarity is 1.
_MIN_OVERLAP = 0.4

Heads = tuple[Head, Head]


class Comparison:
    """The similarity of two volumes as a function of the position of one.

    Args:
        fixed: Its voxels are looked up in ``moving``.
        moving: The other volume.
        heads: Where the head is in each.
        points: Number of voxels to compare, drawn at random from the fixed head.
        bins: Number of intensity levels of each volume.
    """

    def __init__(self, fixed: Volume, moving: Volume, heads: Heads, points: int, bins: int = 32) -> None:
        index = _random_voxels(fixed, heads[0], points)
        self._points = transform_points(fixed.grid.affine, index).T
        self._bins = bins
        levels = _scaled(fixed, heads[0])[tuple(index.T)] * np.float32(bins - 1)
        self._rows = np.rint(levels).astype(np.int32) * (bins + 1)
        self._moving = _scaled(moving, heads[1]) * np.float32(bins - 1)
        self._to_index = np.linalg.inv(moving.grid.affine)
        self._needed = _MIN_OVERLAP * min(1.0, _volume(heads[1]) / _volume(heads[0])) * points
        self._end = np.array(self._moving.shape)[:, None] - 0.5

    def similarity(self, matrix: np.ndarray) -> float:
        """Return the normalized mutual information, 1 if the volumes hardly overlap.

        Args:
            matrix: 4x4, RAS mm of the fixed frame to RAS mm of the moving frame.
        """
        to_index = self._to_index @ matrix
        at = to_index[:3, :3] @ self._points + to_index[:3, 3:]
        covered = np.all((at > -0.5) & (at < self._end), axis=0)
        if np.count_nonzero(covered) < self._needed:
            return 1.0
        value = _interpolated(self._moving, at[:, covered])
        lower = value.astype(np.int32)
        share = value - lower
        cell = self._rows[covered] + lower
        size = self._bins * (self._bins + 1) + 1
        # a value counts in both neighboring bins, so that the similarity changes smoothly with the position
        joint = np.bincount(cell, 1 - share, size) + np.bincount(cell + 1, share, size)
        joint = joint[:-1].reshape(self._bins, self._bins + 1)
        together = _entropy(joint.ravel())
        return (_entropy(joint.sum(0)) + _entropy(joint.sum(1))) / together if together > 0 else 1.0


def _volume(head: Head) -> float:
    return np.count_nonzero(head.region.data) * head.region.grid.voxel_ml


def _random_voxels(volume: Volume, head: Head, count: int) -> np.ndarray:
    """Return the indices of ``count`` voxels in the region of the head, ``(n, 3)`` int64; the same at each call."""
    rng = np.random.default_rng(18)
    region = np.argwhere(head.region.data)
    at = region[rng.integers(len(region), size=count)] + rng.uniform(-0.5, 0.5, (count, 3))
    to_voxel = np.linalg.inv(volume.grid.affine) @ head.region.grid.affine
    return np.clip(np.rint(transform_points(to_voxel, at)).astype(np.int64), 0, np.array(volume.grid.shape) - 1)


def _scaled(volume: Volume, head: Head) -> np.ndarray:
    """Return the intensities from 0 for the background or the darkest tissue to 1 for the brightest."""
    values = volume.data[tuple(_random_voxels(volume, head, 20000).T)]
    low, high = np.percentile(values, (1, 99))
    return np.clip((volume.data - low) / max(float(high - low), 1e-6), 0, 1).astype(np.float32)


def _interpolated(data: np.ndarray, at: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return ndimage.map_coordinates(data, at, order=1, mode="nearest", prefilter=False)


def _entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())
