"""Ranks of values, for comparisons of images that must not depend on their scale."""

from __future__ import annotations

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value, from 0 to below 1; equal values are ranked in their order.

    Args:
        values: ``(n,)`` real.

    Returns:
        ``(n,)`` float32.
    """
    result = np.empty(values.size, np.float32)
    result[np.argsort(values, kind="stable")] = np.arange(values.size) / max(1, values.size)
    return result
