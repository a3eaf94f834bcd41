"""Tissue and background of one volume, found so that it holds on real images.

``> 0`` is not a brain mask: interpolation leaves negative values inside the brain, and the background of a z-scored
image is a negative constant. Here the background is what the borders are made of: constant regions, whatever their
values (an image that was rotated or padded has its own background and what it was filled with), or noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from training.images.masks import bounding_box

#: Fraction of the border voxels that must share one value for it to count as the background.
_BLANKED = 0.4
#: The same for a further constant, such as the fill of a rotated image; it must also form solid regions.
_FILLED = 0.002
#: Fraction of the voxels of one value that must lie in blocks of this many voxels a side for it to be a constant
#: region. Plateaus of tissue in images of few gray levels are ragged.
_SOLID, _BLOCK = 0.85, 5
#: Fraction of the tissue that must share one value for it to be tested as a background that the borders do not show.
_ENCLOSING = 0.1
#: Fraction of all voxels from which one value does not count as the tissue's.
_CONSTANT = 0.05
#: Fraction of its bounding box above which the tissue may be a whole image; a brain has 0.5, one cut flat 0.8.
_BOX = 0.7
#: An image of fewer gray levels has solid regions of one value within the brain, too.
_FEW_LEVELS = 32
#: Values up to one of these fractions of the contrast from the background are ringing or the noise of a lossy
#: compression ...
_FAINT = (0.04, 0.01)
#: ... if they are at least this fraction of what differs from the background, and so many times as frequent as those
#: up to twice as far from it; tissue is not, not even where it is as dark as the background.
_HALO, _STEEP = 0.03, 3
#: Fraction of the tissue on either side of the background's value from which that value is one of tissue as well.
_WITHIN = 0.2
#: Voxels next to a constant region that interpolation may have mixed with another.
_SEAM = 3
#: Noise is what lies within this many median absolute deviations of its median: 4.7 standard deviations of normal
#: noise, 4.3 times the scale of Rayleigh's distribution (the noise of magnitude images).
_NOISE_MADS = 7.0
#: Connected components of the brain mask below this volume are interpolation artifacts and are dropped.
MIN_COMPONENT_ML = 1.0
#: Above the volume of any skull-stripped brain; a head has 3000 mL and more.
LARGEST_BRAIN_ML = 2200.0


@dataclass(frozen=True, eq=False)
class Tissue:
    """Tissue and background of one volume.

    Attributes:
        mask: ``(x, y, z)`` bool, holes not filled.
        background: Value of the background; the median if it is noise.
        noisy: Whether it is noise.
    """

    mask: np.ndarray
    background: float
    noisy: bool = False


def find_tissue(data: np.ndarray, voxel_ml: float = 0.001) -> Tissue:
    """Separate tissue from background in one volume.

    Args:
        data: ``(x, y, z)``, finite.
        voxel_ml: Volume of one voxel.

    Returns:
        Everything but the constant regions that the borders show, or that enclose the rest, and what interpolation
        left between them. If the borders are noise (a scan before skull stripping), or more than any brain is left,
        everything above the noise.
    """
    faces = np.concatenate([face.ravel() for face in _faces(data)])
    values, counts = np.unique(faces, return_counts=True)
    contrast = _contrast(data)
    span = min(float(data.max()) - float(data.min()), 4 * contrast)  # of the values without outliers
    tolerance = 1e-4 * span  # ringing at the background; far below one gray value of an int16 scan
    regions = _border_regions(data, values, counts, tolerance)
    if not regions:
        return _above_noise(data, np.ones(data.shape, bool)) or _above_threshold(data)
    mask = _none_of(regions)
    while (found := _enclosing_region(data, mask, tolerance, voxel_ml)) is not None:
        regions |= found
        mask = _none_of(regions)
    mask = _without_halos(data, mask, regions, contrast)
    tissue = Tissue(mask, max(regions, key=lambda value: np.count_nonzero(regions[value])))
    box = bounding_box(mask)
    # a head in air of one value is no image of noise that was padded: that one fills its bounding box
    if box is None or np.count_nonzero(mask) < max(_BOX * mask[box].size, LARGEST_BRAIN_ML / voxel_ml):
        return tissue
    return _above_noise(data, mask) or tissue


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """Fill holes enclosed by the mask (ventricles that happen to hold the background value)."""
    from scipy import ndimage

    outside, _ = ndimage.label(np.pad(~mask, 1, constant_values=True))
    return (outside != outside[0, 0, 0])[1:-1, 1:-1, 1:-1]


def _border_regions(
    data: np.ndarray, values: np.ndarray, counts: np.ndarray, tolerance: float
) -> dict[float, np.ndarray]:
    """Return the constant regions that the borders show, by value: the voxels of each.

    Args:
        data: ``(x, y, z)``.
        values: The values on the borders.
        counts: Number of border voxels of each.
        tolerance: Largest difference of values that count as one.
    """
    total = counts.sum()
    regions: dict[float, np.ndarray] = {}
    for number in np.argsort(-counts, kind="stable")[:8]:
        value, share = float(values[number]), counts[number] / total
        if share < _FILLED or any(abs(value - known) <= tolerance for known in regions):
            continue
        if share >= _BLANKED:
            regions[value] = _near(data, value, tolerance)  # also where a narrow sulcus cuts it off
        elif _continues(data, value) and (region := _constant_region(data, value, tolerance)) is not None:
            regions[value] = region
    return regions


def _enclosing_region(
    data: np.ndarray, mask: np.ndarray, tolerance: float, voxel_ml: float
) -> dict[float, np.ndarray] | None:
    """Return the background of an image that was padded on all sides with another value: its value and its voxels."""
    box = bounding_box(mask)
    if box is None or np.count_nonzero(mask) < min(_BOX * mask[box].size, LARGEST_BRAIN_ML / voxel_ml):
        return None  # what is left may be a brain
    inside = data[::3, ::3, ::3][mask[::3, ::3, ::3]]
    values, counts = np.unique(inside, return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:4]
    for value in (float(values[number]) for number in frequent if counts[number] >= _ENCLOSING * inside.size):
        region = _constant_region(np.where(mask, data, np.inf), value, tolerance)
        around, found = bounding_box(_opened(mask, _BLOCK)), bounding_box(region) if region is not None else None
        if region is None or around is None or found is None:
            continue
        gaps = [gap for a, b in zip(around, found, strict=True) for gap in (b.start - a.start, a.stop - b.stop)]
        if max(gaps) <= _SEAM:
            return {value: region}
    return None


def _constant_region(data: np.ndarray, value: float, tolerance: float) -> np.ndarray | None:
    """Return the voxels of ``value`` that lie in solid blocks or are connected to one; ``None`` if it is no region."""
    from scipy import ndimage

    if np.unique(data[::3, ::3, ::3]).size < _FEW_LEVELS:
        return None
    same = _near(data, value, tolerance)
    blocks = _opened(same, _BLOCK)
    if np.count_nonzero(blocks) < _SOLID * max(np.count_nonzero(same), 1):
        return None
    return np.asarray(ndimage.binary_propagation(blocks, mask=same), bool)


def _without_halos(
    data: np.ndarray, mask: np.ndarray, regions: Mapping[float, np.ndarray], contrast: float
) -> np.ndarray:
    """Remove from ``mask`` what interpolation or compression left next to a constant region, and between two of them.

    Args:
        data: ``(x, y, z)``.
        mask: What lies in none of the regions.
        regions: The voxels of each constant region, by value.
        contrast: Difference of tissue and background.
    """
    from scipy import ndimage

    inside = data[::3, ::3, ::3][mask[::3, ::3, ::3]]
    for value, region in regions.items():
        far = inside[_near(inside, value, contrast) & ~_near(inside, value, 2 * _FAINT[0] * contrast)]
        if far.size and _WITHIN < np.mean(far < value) < 1 - _WITHIN:  # as z-scoring within the brain leaves it
            continue
        for faint in (share * contrast for share in _FAINT):
            near, twice = (np.count_nonzero(_near(inside, value, each)) for each in (faint, 2 * faint))
            if near > _HALO * inside.size and near > _STEEP * (twice - near):
                halo = ndimage.binary_propagation(region, mask=region | (mask & _near(data, value, faint)))
                mask = mask & ~halo
                break
    if len(regions) > 1:
        neighbors = np.zeros(data.shape, np.uint8)
        for region in regions.values():
            neighbors += _dilated(_opened(region, _BLOCK), 2 * _SEAM + 1)
        mask = mask & (neighbors < 2)
    return mask


def _above_noise(data: np.ndarray, mask: np.ndarray) -> Tissue | None:
    """Return what stands out from the noise in ``mask``; ``None`` if its dark voxels are no noise."""
    inside = data[::3, ::3, ::3][mask[::3, ::3, ::3]].astype(np.float64)
    threshold = _otsu_threshold(inside)
    noise = inside[inside <= threshold]
    steps = np.diff(np.unique(noise))
    smallest = float(steps.min()) / 2 if steps.size else 0.0  # gray values of whole numbers have no finer deviation
    for _ in range(5):
        median = float(np.median(noise))
        limit = _NOISE_MADS * max(float(np.median(np.abs(noise - median))), smallest)
        noise = noise[np.abs(noise - median) <= limit]
    if limit == 0 or median + limit >= threshold:
        return None
    return Tissue(mask & ~_near(data, median, limit), median, noisy=True)


def _above_threshold(data: np.ndarray) -> Tissue:
    mask = data > _otsu_threshold(data[::2, ::2, ::2].ravel())
    return Tissue(mask, float(np.median(data[~mask])) if not mask.all() else float(data.min()), noisy=True)


def _otsu_threshold(values: np.ndarray) -> float:
    """Return Otsu's threshold (Otsu 1979, IEEE Trans. SMC 9:62), which maximizes the variance between classes."""
    low, top = (float(each) for each in np.percentile(values, (0.1, 99.5)))
    counts, edges = np.histogram(values, bins=256, range=(low, max(top, low + 1e-6)))
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    mass = np.cumsum(counts * centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    return float(centers[int(np.nanargmax(between))]) if np.any(np.isfinite(between)) else float(centers[0])


def _faces(data: np.ndarray) -> list[np.ndarray]:
    return [np.moveaxis(data, axis, 0)[end] for axis in range(3) for end in (0, -1)]


def _contrast(data: np.ndarray) -> float:
    """Return the range of the tissue, which neither outliers nor constants such as a fill of -1024 change."""
    values, counts = np.unique(data[::4, ::4, ::4], return_counts=True)
    varied = np.repeat(values, np.where(counts < _CONSTANT * counts.sum(), counts, 0)).astype(np.float64)
    low, high = np.percentile(varied if varied.size else values, (1, 99))
    return float(high) - float(low)


def _near(data: np.ndarray, value: float, tolerance: float) -> np.ndarray:
    """Return where values differ from ``value`` by at most ``tolerance``."""
    return np.asarray((data >= value - tolerance) & (data <= value + tolerance), bool)


def _none_of(regions: Mapping[float, np.ndarray]) -> np.ndarray:
    return ~reduce(np.logical_or, regions.values())


def _continues(data: np.ndarray, value: float) -> bool:
    """Return whether border voxels of ``value`` mostly have neighbors of it; gray values of noise have not."""
    first = following = 0
    for face in _faces(data):
        same = face == value
        for each in (same, same.T):
            first += np.count_nonzero(each[:-1])
            following += np.count_nonzero(each[:-1] & each[1:])
    return following > 0.8 * first


def _opened(mask: np.ndarray, side: int) -> np.ndarray:
    """Return the voxels of ``mask`` in cubes of it; at the borders the mask counts as continued."""
    padded = np.pad(mask, side - 1, mode="edge")
    inner = (slice(side - 1, -side + 1),) * 3
    return _dilated(_eroded(padded, side), side)[inner]


def _eroded(mask: np.ndarray, side: int) -> np.ndarray:
    return ~_dilated(~mask, side)


def _dilated(mask: np.ndarray, side: int) -> np.ndarray:
    """Dilate ``mask`` with a cube of ``side`` voxels (an odd number), axis by axis: much faster than SciPy's."""
    for axis in range(3):
        before = np.moveaxis(mask, axis, 0)
        mask = mask.copy(order="K")
        after = np.moveaxis(mask, axis, 0)
        for step in range(1, side // 2 + 1):
            after[step:] |= before[:-step]
            after[:-step] |= before[step:]
    return mask
