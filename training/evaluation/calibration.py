"""Calibration of the class probabilities: the expected calibration error (ECE).

The confidence of a voxel is its largest class probability. Voxels are grouped into bins of equal width by confidence;
the ECE is the mean distance between confidence and accuracy over the bins, weighted by their numbers of voxels (Guo et
al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599).

Nine tenths of a brain are easy background, which hides errors at the tumor. The ECE is therefore computed twice: over
the brain, and over the part of the brain within 10 mm of true or predicted tumor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.images.masks import bounding_box

BrainPart = Literal["brain", "near_tumor"]

#: The parts of the brain for which the error is computed.
BRAIN_PARTS: tuple[BrainPart, ...] = ("brain", "near_tumor")
#: Distance that counts as near the tumor.
NEAR_MM = 10.0
DEFAULT_BINS = 15


@dataclass(frozen=True)
class Bin:
    """One row of a reliability table.

    Attributes:
        low: Lower end, exclusive.
        high: Upper end, inclusive.
        voxels: Number of voxels.
        confidence: Their mean confidence; ``None`` if there are none.
        accuracy: Fraction of them that is correct; ``None`` if there are none.
    """

    low: float
    high: float
    voxels: int
    confidence: float | None
    accuracy: float | None


class Calibration:
    """The calibration over any number of cases; only sums are kept.

    Args:
        bins: Number of bins of equal width between 0 and 1.
    """

    def __init__(self, bins: int = DEFAULT_BINS) -> None:
        if bins < 1:
            raise ValueError(f"at least one bin is needed, not {bins}")
        self.cases = 0
        self._count = bins
        # Per part of the brain and bin: number of voxels, sum of confidences, number of correct voxels.
        self._sums: dict[BrainPart, np.ndarray] = {part: np.zeros((3, bins)) for part in BRAIN_PARTS}

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
            probabilities: ``(x, y, z, class)``, summing to 1 over the classes.
            truth: ``(x, y, z)`` integers, values of :mod:`training.labels`.
            brain: ``(x, y, z)`` bool; voxels outside are ignored.
            spacing_mm: Voxel size.

        Raises:
            ValueError: If the shapes differ.
        """
        if probabilities.shape[:-1] != truth.shape or truth.shape != brain.shape:
            raise ValueError(f"shapes differ: {probabilities.shape}, truth {truth.shape}, brain {brain.shape}")
        predicted = np.argmax(probabilities, axis=-1)
        near = near_tumor(((truth > 0) | (predicted > 0)) & brain, spacing_mm)
        confidence = np.max(probabilities, axis=-1)
        correct = predicted == truth
        masks: dict[BrainPart, np.ndarray] = {"brain": brain, "near_tumor": near & brain}
        for part, mask in masks.items():
            self._sums[part] += _bin_sums(confidence[mask], correct[mask], self._count)
        self.cases += 1

    def ece(self, part: BrainPart = "brain") -> float | None:
        """Return the expected calibration error, 0-1; ``None`` if there are no voxels in this part."""
        voxels, confidence, correct = self._sums[part]
        total = voxels.sum()
        return float(np.abs(confidence - correct).sum() / total) if total else None

    def voxels(self, part: BrainPart = "brain") -> int:
        """Return the number of voxels."""
        return int(self._sums[part][0].sum())

    def bins(self, part: BrainPart = "brain") -> list[Bin]:
        """Return the reliability table, from the lowest to the highest confidence."""
        table = []
        for number, (voxels, confidence, correct) in enumerate(self._sums[part].T):
            low, high = number / self._count, (number + 1) / self._count
            means = (float(confidence / voxels), float(correct / voxels)) if voxels else (None, None)
            table.append(Bin(low, high, int(voxels), *means))
        return table


def near_tumor(
    tumor: np.ndarray, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0), within_mm: float = NEAR_MM
) -> np.ndarray:
    """Return where the nearest tumor voxel is at most ``within_mm`` away, including the tumor itself.

    Args:
        tumor: ``(x, y, z)`` bool.
        spacing_mm: Voxel size.
        within_mm: Distance between voxel centers.

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


def _bin_sums(confidence: np.ndarray, correct: np.ndarray, bins: int) -> np.ndarray:
    """Return ``(3, bins)``: voxels, sum of confidences, and correct voxels per bin, whose upper end is inclusive."""
    number = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    sums = [np.bincount(number, weights, bins) for weights in (None, confidence, correct)]
    return np.asarray(sums, np.float64)
