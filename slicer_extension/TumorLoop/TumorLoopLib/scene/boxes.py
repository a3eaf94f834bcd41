"""Fast ways with labelmaps: a tumor fills a hundredth of its volume, and voxels are bytes."""

from __future__ import annotations

from collections.abc import Mapping

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


def translated(array: np.ndarray, values: Mapping[int, int]) -> np.ndarray:
    """Return an array with some values replaced and all others 0, as uint8 and contiguous.

    Args:
        array: Integers, none negative, of any shape.
        values: Old to new value, new ones 0-255.

    Examples:
        >>> translated(np.array([[0, 1, 7]], np.int16), {1: 3}).tolist()
        [[0, 3, 0]]
    """
    if array.dtype == np.uint8:  # Python's own table look-up takes a tenth of numpy's time
        table = bytes(values.get(value, 0) for value in range(256))
        return np.frombuffer(bytearray(array.tobytes().translate(table)), np.uint8).reshape(array.shape)
    result = np.zeros(array.shape, np.uint8)
    for old, new in values.items():
        result[array == old] = new
    return result
