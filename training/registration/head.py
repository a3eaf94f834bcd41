"""Where the head is in a volume, with skull or without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.images.grid import Volume, transform_points
from training.images.masks import large_components
from training.images.resample import index_map, resample_mask
from training.registration.levels import coarsened

_SPACING_MM = 4.0
#: So much of the surrounding air belongs to it: the outline of the head is as informative as what is in it.
_MARGIN_MM = 12.0


@dataclass(frozen=True, eq=False)
class Head:
    """The place of a head.

    Attributes:
        region: Boolean, on a coarse grid: the head and :data:`_MARGIN_MM` of air around it.
        center: Center of the head, RAS mm.
    """

    region: Volume
    center: np.ndarray


def find_head(volume: Volume, mask: Volume | None = None) -> Head:
    """Find the head: the largest region above Otsu's threshold, without holes.

    Args:
        volume: Any modality; its background may have any value below the head's.
        mask: What to take for the head instead, on any grid; non-zero is inside.
    """
    from scipy import ndimage

    coarse = coarsened(volume, _SPACING_MM)
    grid = coarse.grid
    if mask is None:
        inside = _foreground(coarse.data)
    else:
        inside = resample_mask(mask.data > 0, index_map(mask.grid.affine, grid.affine), grid.shape)
    if not inside.any():
        inside = np.ones(grid.shape, bool)
    center = transform_points(grid.affine, np.array(ndimage.center_of_mass(inside)))
    outside_mm = ndimage.distance_transform_edt(np.pad(~inside, 1, constant_values=True), grid.spacing)
    return Head(Volume(outside_mm[1:-1, 1:-1, 1:-1] <= _MARGIN_MM, grid), center)


def _foreground(data: np.ndarray) -> np.ndarray:
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    low, high = np.percentile(data, (1, 99))
    if not high > low:
        return np.ones(data.shape, bool)
    threshold = threshold_otsu(np.clip(data, low, high))
    # dark tissue, too: well above the background, although below the mean of both
    inside = large_components(data > low + 0.6 * (threshold - low), data.size)
    return ndimage.binary_fill_holes(ndimage.binary_closing(inside, iterations=2))
