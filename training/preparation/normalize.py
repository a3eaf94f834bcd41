"""Intensity normalization, the same for scans, phantoms and training patches."""

from __future__ import annotations

import numpy as np


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


def zscore_channel(image: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Normalize one channel as :func:`zscore` does; ``image`` and ``brain`` are ``(x, y, z)``."""
    result = np.zeros(image.shape, np.float32)
    values = image[brain].astype(np.float32, copy=False)
    if values.size == 0:
        return result
    mean = values.mean(dtype=np.float64)
    deviation = values.std(dtype=np.float64)
    if deviation > 0:
        result[brain] = (values - np.float32(mean)) / np.float32(deviation)
    return result
