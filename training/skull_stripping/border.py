"""What a brain mask holds beyond the brain: fluid, bone and the scalp outside of it.

The networks outline all inside the skull, and sometimes more. Fluid and bone are dark on T1 and on FLAIR; edema and
most necrosis are not dark on FLAIR. So the dark rim is removed, with whatever it separates from the brain.
"""

from __future__ import annotations

import numpy as np

from training.images.masks import bounding_box, large_components
from training.images.tissue import fill_holes

#: Fractions of the brain's median, from the level of air, below which a voxel is dark on T1 and on FLAIR.
_DARK_T1, _DARK_FLAIR = 0.6, 0.75
#: From where on a part that bone separates from the brain is scalp, whose fat is bright on T1.
_FAT = 1.3
#: How deep below the surface of the mask the rim may reach, and from where on all is brain; in voxels of 1 mm.
_RIM, _INSIDE = 10, 12
#: Radii in voxels of 1 mm: bridges thinner than twice the first are cut; sulci narrower than twice the second are kept.
_BRIDGE, _SULCUS = 2, 4
#: Voxels of 1 mm of the rim that are kept, as masks of public data have them.
_KEPT = 1


def without_rim(mask: np.ndarray, t1: np.ndarray, flair: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Remove fluid, bone and scalp from the border of a brain mask.

    Args:
        mask: ``(x, y, z)`` bool, voxels of 1 mm.
        t1: T1 or T1ce there, with the background that the scanner left.
        flair: FLAIR there.
        covered: Where FLAIR was scanned; elsewhere nothing is removed.

    Returns:
        bool, a part of ``mask``.
    """
    box = bounding_box(mask)
    if box is None:
        return mask
    depth = _depth(np.pad(mask[box], 1))[1:-1, 1:-1, 1:-1]
    inner = depth > _INSIDE
    if not inner.any():
        return mask
    level = _level(t1, box, inner)
    dark = (level < _DARK_T1) & (_level(flair, box, inner) < _DARK_FLAIR) & covered[box]
    kept = mask[box] & ~(dark & (depth <= _RIM)) & ~_scalp(mask[box], level)
    brain = large_components(opened(kept, _BRIDGE), np.inf)
    result = np.zeros_like(mask)
    result[box] = (_depth(~np.pad(closed(brain, _SULCUS), 1))[1:-1, 1:-1, 1:-1] < _KEPT) & mask[box]
    return result


def _scalp(mask: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return the bright parts of a mask that bone separates from the brain on T1; thick slices of FLAIR blur the bone.

    Args:
        mask: ``(x, y, z)`` bool.
        level: T1 or T1ce there, 0 for air and 1 for the median of the brain.
    """
    from scipy import ndimage

    parts = opened(mask & (level >= _DARK_T1), _BRIDGE)
    beside, count = ndimage.label(parts & ~large_components(parts, np.inf))
    bright = [part for part in range(1, count + 1) if np.median(level[beside == part]) > _FAT]
    found: np.ndarray = np.isin(beside, bright)
    return found


def closed(mask: np.ndarray, radius: int) -> np.ndarray:
    """Close a mask with a ball and fill its holes.

    Args:
        mask: ``(x, y, z)`` bool.
        radius: In voxels.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    # A copy: a view of an image does not keep its memory alive.
    return fill_holes(sitk.GetArrayFromImage(sitk.BinaryMorphologicalClosing(image, (radius,) * 3, sitk.sitkBall)) > 0)


def opened(mask: np.ndarray, radius: int) -> np.ndarray:
    """Open a mask with a ball.

    Args:
        mask: ``(x, y, z)`` bool.
        radius: In voxels.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    found: np.ndarray = sitk.GetArrayFromImage(sitk.BinaryMorphologicalOpening(image, (radius,) * 3, sitk.sitkBall)) > 0
    return found


def _depth(mask: np.ndarray) -> np.ndarray:
    """Return the distance of each voxel of a mask from its surface, in voxels: 0 at the surface, negative outside."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    distance: np.ndarray = sitk.GetArrayFromImage(
        sitk.SignedMaurerDistanceMap(image, insideIsPositive=True, squaredDistance=False, useImageSpacing=False)
    )
    return distance


def _level(values: np.ndarray, box: tuple[slice, ...], inner: np.ndarray) -> np.ndarray:
    """Return values in ``box``, scaled so that air has 0 and the median of the brain 1."""
    air = float(np.percentile(values, 1))
    scale = max(float(np.median(values[box][inner])) - air, float(np.finfo(np.float32).tiny))
    level: np.ndarray = (values[box] - air) / scale
    return level
