"""Intensity normalization, the same for scans, phantoms and training patches, and the removal of outliers before it."""

from __future__ import annotations

import numpy as np

#: An outlier lies farther beyond the 1st or 99th percentile of the tissue than this many times their distance. In 88
#: volumes of 18 patients and 4 phantoms, some with values cut off at 32767, the farthest voxel lies 3.0 times as far.
_FAR = 4.0
#: Half the sides of the cubes that are searched for ordinary values around an outlier, in voxels.
_AROUND = (1, 2, 4, 8)


def zscore(image: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Give each channel mean 0 and standard deviation 1 inside the brain, and 0 outside.

    The value outside is set *after* scaling: 0 is then the mean of the brain, whatever the background was.

    Args:
        image: ``(x, y, z, channel)``, any real dtype.
        brain: Where there is tissue: ``(x, y, z)`` for all channels, or ``(x, y, z, channel)`` where the
            channels show different parts of it.

    Returns:
        ``(x, y, z, channel)`` float32. A channel that is constant inside the brain becomes 0 throughout.
    """
    result = np.zeros(image.shape, np.float32)
    for channel in range(image.shape[-1]):
        inside = brain if brain.ndim == 3 else brain[..., channel]
        result[..., channel] = zscore_channel(image[..., channel], inside)
    return result


def zscore_channel(image: np.ndarray, brain: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Normalize one channel as :func:`zscore` does.

    Args:
        image: ``(x, y, z)``, any real dtype.
        brain: ``(x, y, z)`` bool.
        out: ``(x, y, z)`` float32 zeros, to be filled and returned; ``None`` for a new array.
    """
    result = np.zeros(image.shape, np.float32) if out is None else out
    values = image[brain].astype(np.float32, copy=False)
    if values.size == 0:
        return result
    mean = values.mean(dtype=np.float64)
    deviation = values.std(dtype=np.float64)
    if deviation > 0:
        with np.errstate(over="ignore"):  # outside the brain, whose values are not used
            scaled = image.astype(np.float32, copy=False) - np.float32(mean)
            scaled /= np.float32(deviation)
        np.copyto(result, scaled, where=brain)  # unlike an assignment to result[brain] without the interpreter's lock
    return result


def without_outliers(data: np.ndarray, tissue: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Replace values that cannot be tissue, such as those that bias correction and B-splines leave at some voxels.

    Three voxels of a million are enough to make everything else equal after normalization. Up to 1 % of the tissue may
    be outliers on either side; images without outliers are returned unchanged.

    Args:
        data: ``(x, y, z)``.
        tissue: ``(x, y, z)`` bool.

    Returns:
        The image, with the median of the values around it in place of each outlier; and where outliers were, bool, or
        ``None`` if there were none.
    """
    low, high = plausible_range(data, tissue)
    outliers = tissue & ((data < low) | (data > high))
    if not outliers.any():
        return data, None
    usual = float(np.median(data[tissue & ~outliers]))
    result = data.copy(order="K")
    for voxel in np.argwhere(outliers):
        result[tuple(voxel)] = _median_around(data, outliers, voxel, usual)
    return result, outliers


def plausible_range(data: np.ndarray, tissue: np.ndarray) -> tuple[float, float]:
    """Return the lowest and highest value that is not an outlier; infinite if most of the tissue has one value."""
    values = data[::3, ::3, ::3][tissue[::3, ::3, ::3]]
    values = values if values.size > 1000 else data[tissue]
    if not values.size:
        return -np.inf, np.inf
    first, last = (float(value) for value in np.percentile(values.astype(np.float64), (1, 99)))
    far = _FAR * (last - first) or np.inf
    return first - far, last + far


def _median_around(data: np.ndarray, outliers: np.ndarray, voxel: np.ndarray, otherwise: float) -> float:
    for distance in _AROUND:
        cube = tuple(slice(max(0, at - distance), at + distance + 1) for at in voxel.tolist())
        ordinary = data[cube][~outliers[cube]]
        if 3 * ordinary.size >= outliers[cube].size:
            return float(np.median(ordinary))
    return otherwise
