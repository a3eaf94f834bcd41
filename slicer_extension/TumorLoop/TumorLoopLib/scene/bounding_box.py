"""Bounding boxes of labelmaps: a tumor fills a hundredth of its volume, so working inside its box saves most time."""

from __future__ import annotations

import numpy as np

Box = tuple[slice, slice, slice]

#: The box of an array without content.
EMPTY_BOX: Box = (slice(0, 0), slice(0, 0), slice(0, 0))


def bounding_box(array: np.ndarray) -> Box:
    """Return the smallest box that holds all nonzero voxels; :data:`EMPTY_BOX` if there are none.

    Args:
        array: Three axes, integers or booleans.

    Examples:
        >>> array = np.zeros((4, 5, 6), np.uint8)
        >>> array[1:3, 2, 3:6] = 1
        >>> bounding_box(array)
        (slice(1, 3, None), slice(2, 3, None), slice(3, 6, None))
    """
    slabs = np.flatnonzero(array.any(axis=(1, 2)))
    if slabs.size == 0:
        return EMPTY_BOX
    first = slice(int(slabs[0]), int(slabs[-1]) + 1)
    flat = array[first].any(axis=0)
    rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    return first, slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def union(one: Box, other: Box) -> Box:
    """Return the smallest box that holds both.

    Examples:
        >>> union((slice(0, 2), slice(1, 3), slice(0, 1)), EMPTY_BOX)[1]
        slice(1, 3, None)
    """
    if one == EMPTY_BOX or other == EMPTY_BOX:
        return other if one == EMPTY_BOX else one
    sides = [slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other)]
    return sides[0], sides[1], sides[2]
