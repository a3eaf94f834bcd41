"""Whether the network is as often right as it is sure: the expected calibration error (ECE).

Of each voxel, the confidence is the largest class probability, and it is right or wrong. Voxels are put into bins of
equal width by their confidence; the ECE is the mean distance between confidence and share of right voxels over the
bins, weighted by the voxels in them (Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599).

Nine tenths of a brain are easy background, which hides what happens at the tumor. So it is told twice: over the
brain, and over the brain within 10 mm of the tumor, be it the true or the predicted one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.images.masks import bounding_box

BrainPart = Literal["brain", "near_tumor"]

#: Which voxels the error is told for.
BRAIN_PARTS: tuple[BrainPart, ...] = ("brain", "near_tumor")
#: What counts as near the tumor.
NEAR_MM = 10.0
DEFAULT_BINS = 15


@dataclass(frozen=True)
class Bin:
    """One row of a reliability table.

    Attributes:
        low: Confidences in the bin are above this,
        high: and at most this.
        voxels: How many there are.
        confidence: Their mean confidence; ``None`` if there are none.
        accuracy: The share of them that is right; ``None`` if there are none.
    """

    low: float
    high: float
    voxels: int
    confidence: float | None
    accuracy: float | None


class Calibration:
    """The calibration over any number of cases, of which only sums are kept.

    Args:
        bins: Bins of equal width between 0 and 1.
    """

    def __init__(self, bins: int = DEFAULT_BINS) -> None:
        if bins < 1:
            raise ValueError(f"at least one bin is needed, not {bins}")
        self.cases = 0
        self._count = bins
        # For each part of the brain: voxels, sum of their confidences, and voxels that are right, per bin.
        self._sums: dict[BrainPart, np.ndarray] = {where: np.zeros((3, bins)) for where in BRAIN_PARTS}

    def add(
        self,
        probabilities: np.ndarray,
        truth: np.ndarray,
        brain: np.ndarray,
        *,
        spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        """Add one case.

        Args:
            probabilities: ``(x, y, z, class)``, sums of 1 over the classes.
            truth: ``(x, y, z)`` integers, values of :mod:`training.labels`.
            brain: ``(x, y, z)`` bool; voxels outside are left out.
            spacing_mm: Voxel size.

        Raises:
            ValueError: If the shapes differ.
        """
        if probabilities.shape[:-1] != truth.shape or truth.shape != brain.shape:
            raise ValueError(f"shapes differ: {probabilities.shape}, truth {truth.shape}, brain {brain.shape}")
        predicted = np.argmax(probabilities, axis=-1)
        near = near_tumor(((truth > 0) | (predicted > 0)) & brain, spacing_mm)
        confidence = np.max(probabilities, axis=-1)
        right = predicted == truth
        masks: dict[BrainPart, np.ndarray] = {"brain": brain, "near_tumor": near & brain}
        for where, mask in masks.items():
            self._sums[where] += _bin_sums(confidence[mask], right[mask], self._count)
        self.cases += 1

    def ece(self, where: BrainPart = "brain") -> float | None:
        """Return the expected calibration error in 0-1; ``None`` if no voxel of that kind was added."""
        voxels, confidence, right = self._sums[where]
        total = voxels.sum()
        return float(np.abs(confidence - right).sum() / total) if total else None

    def voxels(self, where: BrainPart = "brain") -> int:
        """Return how many voxels were added."""
        return int(self._sums[where][0].sum())

    def bins(self, where: BrainPart = "brain") -> list[Bin]:
        """Return the reliability table, from the least sure to the surest voxels."""
        table = []
        for number, (voxels, confidence, right) in enumerate(self._sums[where].T):
            low, high = number / self._count, (number + 1) / self._count
            means = (float(confidence / voxels), float(right / voxels)) if voxels else (None, None)
            table.append(Bin(low, high, int(voxels), *means))
        return table


def near_tumor(
    tumor: np.ndarray, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0), within_mm: float = NEAR_MM
) -> np.ndarray:
    """Return where the next tumor voxel is at most ``within_mm`` away, the tumor itself included.

    Args:
        tumor: ``(x, y, z)`` bool.
        spacing_mm: Voxel size.
        within_mm: Between the centers of voxels.

    Returns:
        ``(x, y, z)`` bool; false everywhere if there is no tumor.
    """
    from scipy import ndimage

    near = np.zeros(tumor.shape, bool)
    # Distances are computed only where they can be small enough: transforming a whole head takes seconds.
    box = bounding_box(tumor, margin=[int(np.ceil(within_mm / side)) for side in spacing_mm])
    if box is not None:
        near[box] = ndimage.distance_transform_edt(~tumor[box], sampling=spacing_mm) <= within_mm
    return near


def _bin_sums(confidence: np.ndarray, right: np.ndarray, bins: int) -> np.ndarray:
    """Return ``(3, bins)``: voxels, sum of confidences, and right voxels per bin. A bin holds its upper end."""
    number = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    sums = [np.bincount(number, weights, bins) for weights in (None, confidence, right)]
    return np.asarray(sums, np.float64)
