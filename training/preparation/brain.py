"""Brain masks that are robust on real images.

``> 0`` is not a brain mask: interpolation leaves negative values inside the brain, and the background of a z-scored
image is a negative constant. Here the background is the value of the volume's borders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Fraction of the border voxels that must share one value for it to count as the background.
_BLANKED = 0.4
#: Connected components of the brain mask below this volume are interpolation artifacts and are dropped.
MIN_COMPONENT_ML = 1.0


@dataclass(frozen=True, eq=False)
class Tissue:
    """Tissue and background of one volume.

    Attributes:
        mask: ``(x, y, z)`` bool, holes not filled.
        background: Value of the background; ``None`` if it is noise.
    """

    mask: np.ndarray
    background: float | None


def find_tissue(data: np.ndarray) -> Tissue:
    """Separate tissue from background in one volume.

    Args:
        data: ``(x, y, z)``, finite.

    Returns:
        Everything that differs from the value of the borders; if the borders are noise (a scan before skull stripping),
        everything above Otsu's threshold.
    """
    faces = np.concatenate([data[[0, -1]].ravel(), data[:, [0, -1]].ravel(), data[:, :, [0, -1]].ravel()])
    values, counts = np.unique(faces, return_counts=True)
    most = int(np.argmax(counts))
    if counts[most] < _BLANKED * faces.size:
        return Tissue(data > _otsu_threshold(data), None)
    background = values[most]
    low, high = float(data.min()), float(data.max())
    tolerance = 1e-4 * (high - low)  # ringing at the background; far below one gray value of an int16 scan
    if low >= background - tolerance:
        return Tissue(data > background + tolerance, float(background))
    return Tissue((data > background + tolerance) | (data < background - tolerance), float(background))


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Fill holes enclosed by the mask (ventricles that happen to hold the background value)."""
    from scipy import ndimage

    outside, _ = ndimage.label(np.pad(~mask, 1, constant_values=True))
    return (outside != outside[0, 0, 0])[1:-1, 1:-1, 1:-1]


def _otsu_threshold(data: np.ndarray) -> float:
    """Return Otsu's threshold (Otsu 1979, IEEE Trans. SMC 9:62), which maximizes the variance between classes."""
    sample = data[::2, ::2, ::2].ravel()
    top = float(np.percentile(sample, 99.5))
    counts, edges = np.histogram(sample, bins=256, range=(float(sample.min()), max(top, float(sample.min()) + 1e-6)))
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    mass = np.cumsum(counts * centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(centers[int(np.nanargmax(between))]) if np.any(np.isfinite(between)) else float(centers[0])
