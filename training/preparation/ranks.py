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
    result[_stable_order(values)] = np.arange(values.size) / max(1, values.size)
    return result


def _stable_order(values: np.ndarray) -> np.ndarray:
    """Return the indices that sort values, in their order where they are equal; several times as fast for float32."""
    if values.dtype != np.float32:
        return np.argsort(values, kind="stable")
    bits = (values + np.float32(0)).view(np.uint32)  # which makes -0 and 0 the same
    # the bits of a float in the order of the floats: those of negative ones are reversed
    keys = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64)
    keys = keys << np.uint64(32) | np.arange(values.size, dtype=np.uint64)
    keys.sort()
    return keys & np.uint64(0xFFFFFFFF)
