"""Boolean masks: bounding boxes, overlap (Dice), and connected components."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Box = tuple[slice, slice, slice]


def bounding_box(mask: np.ndarray, margin: int | Sequence[int] = 0) -> Box | None:
    """Return the smallest box around all true voxels of ``mask`` ``(x, y, z)``, or ``None`` if there are none.

    Args:
        mask: ``(x, y, z)`` bool.
        margin: Voxels to add on each side (one number, or one per axis), clipped to the array.
    """
    margins = (margin,) * 3 if isinstance(margin, int) else margin
    slices = []
    for axis, extra in enumerate(margins):
        hits = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        if hits.size == 0:
            return None
        slices.append(slice(max(0, int(hits[0]) - extra), min(mask.shape[axis], int(hits[-1]) + 1 + extra)))
    return slices[0], slices[1], slices[2]


def dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the Dice coefficient ``2|A and B| / (|A| + |B|)`` of two masks (Dice 1945, doi:10.2307/1932409).

    Args:
        prediction: Mask of any shape; non-zero is inside.
        truth: Mask of the same shape.

    Returns:
        A number from 0 to 1; 1 if both masks are empty.
    """
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    if total == 0:
        return 1.0
    return 2.0 * int(np.count_nonzero(prediction.astype(bool) & truth.astype(bool))) / total


def near(mask: np.ndarray, radius: float) -> np.ndarray:
    """Return the voxels within a distance of a mask, itself included; much faster than a distance transform.

    The least squared distances are found axis by axis (Saito and Toriwaki 1994, doi:10.1016/0031-3203(94)90133-3).

    Args:
        mask: ``(x, y, z)`` bool.
        radius: In voxels, at most 15.

    Returns:
        ``(x, y, z)`` bool: where the center of a voxel of the mask is at most ``radius`` away.
    """
    reach = int(radius)
    if not 0 <= reach <= 15:
        raise ValueError(f"the radius must be 0 to 15 voxels, not {radius}")
    squared = np.where(mask, np.uint8(0), np.uint8(255))
    for axis in range(3):
        before = np.moveaxis(squared, axis, 0)
        squared = squared.copy(order="K")
        after = np.moveaxis(squared, axis, 0)
        for step in range(1, min(reach, mask.shape[axis] - 1) + 1):
            # 255, the most that a byte holds, is infinitely far
            farther = np.minimum(before, 255 - step * step) + np.uint8(step * step)
            np.minimum(after[step:], farther[:-step], out=after[step:])
            np.minimum(after[:-step], farther[step:], out=after[:-step])
    return np.asarray(squared <= int(radius * radius), bool)


def large_components(mask: np.ndarray, min_size: float, voxel_size: float = 1.0) -> np.ndarray:
    """Keep the connected components (6-neighborhood) of at least ``min_size``; if there are none, the largest.

    Args:
        mask: ``(x, y, z)`` bool.
        min_size: In the unit of ``voxel_size``.
        voxel_size: Size of one voxel, for instance in mL; by default sizes are numbers of voxels.
    """
    from scipy import ndimage

    components, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(components.ravel()) * voxel_size
    sizes[0] = 0
    kept = sizes >= min_size
    kept[np.argmax(sizes)] = True
    return kept[components]
