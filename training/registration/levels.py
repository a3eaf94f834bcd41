"""The same volume with fewer voxels."""

from __future__ import annotations

import numpy as np

from training.images.grid import Grid, Volume
from training.images.resample import resample_linear


def coarsened(volume: Volume, spacing_mm: float, blur_mm: float = 0.0) -> Volume:
    """Return the volume with voxels of at least ``spacing_mm`` along its own axes.

    Axes along which its voxels are that large already keep them: thick slices are not interpolated.

    Args:
        volume: On any grid, oblique and sheared ones included.
        spacing_mm: Smallest voxel size of the result.
        blur_mm: Standard deviation of a Gaussian filter.

    Returns:
        float32, over the same field of view up to half a voxel.
    """
    from scipy import ndimage

    grid = volume.grid
    shape, spacing = np.array(grid.shape), np.array(grid.spacing)
    count = np.where(spacing < spacing_mm, np.maximum(np.round(shape * spacing / spacing_mm), 1), shape)
    wider = np.where(count < shape, np.maximum(spacing, spacing_mm), spacing)
    to_input = np.diag([*(wider / spacing), 1.0])
    to_input[:3, 3] = (shape - 1) / 2 - (count - 1) / 2 * wider / spacing  # the same center
    coarse = Grid((int(count[0]), int(count[1]), int(count[2])), grid.affine @ to_input)
    data = resample_linear(volume.data, to_input, coarse.shape, float(volume.data.min()))
    if blur_mm:
        data = ndimage.gaussian_filter(data, blur_mm / wider, mode="nearest")
    return Volume(data, coarse)
