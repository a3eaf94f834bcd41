"""The part of an array that holds something: a tumor fills a hundredth of its volume, so looking there saves time."""

from __future__ import annotations

import numpy as np

Box = tuple[slice, slice, slice]

#: The box of nothing.
NOWHERE: Box = (slice(0, 0), slice(0, 0), slice(0, 0))


def content_box(array: np.ndarray) -> Box:
    """Return the smallest box with everything that is not zero; :data:`NOWHERE` if all is zero.

    Args:
        array: Of three axes, integers or booleans.

    Examples:
        >>> array = np.zeros((4, 5, 6), np.uint8)
        >>> array[1:3, 2, 3:6] = 1
        >>> content_box(array)
        (slice(1, 3, None), slice(2, 3, None), slice(3, 6, None))
    """
    slabs = np.flatnonzero(array.any(axis=(1, 2)))
    if slabs.size == 0:
        return NOWHERE
    first = slice(int(slabs[0]), int(slabs[-1]) + 1)
    flat = array[first].any(axis=0)
    rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    return first, slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def union(one: Box, other: Box) -> Box:
    """Return the smallest box that holds both.

    Examples:
        >>> union((slice(0, 2), slice(1, 3), slice(0, 1)), NOWHERE)[1]
        slice(1, 3, None)
    """
    if one == NOWHERE or other == NOWHERE:
        return other if one == NOWHERE else one
    sides = [slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other)]
    return sides[0], sides[1], sides[2]
