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
