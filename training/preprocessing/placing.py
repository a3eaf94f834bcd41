"""Volumes in the frame of the reference, each interpolated once, with a background that preparation finds again."""

from __future__ import annotations

import numpy as np

from training.images.grid import Grid, Volume
from training.images.resample import index_map, resample_linear, resample_mask, resampled
from training.images.tissue import fill_holes, find_tissue

#: The darkest tissue lies above the background by this fraction of the contrast within the brain, so that
#: :func:`training.images.tissue.find_tissue` takes none of it for background.
_ABOVE = 0.2


def place(volume: Volume, grid: Grid, brain: np.ndarray | None, *, stripped: bool) -> Volume:
    """Resample one volume and set what is outside of the brain to 0.

    Args:
        volume: In the frame of ``grid``, on its own voxels.
        grid: The grid of the result.
        brain: ``(x, y, z)`` bool on it; ``None`` for the tissue that the volume shows.
        stripped: Whether the volume was stripped before; then only its own tissue counts.

    Returns:
        float32 on ``grid``: 0 outside of the brain and where the volume does not reach, above 0 inside.
    """
    if stripped:
        values, inside = _stripped_values(volume, grid)
    else:
        values, inside = scanned_values(volume, grid)
    if brain is not None:
        inside &= brain
    return Volume(with_background(values, inside), grid)


def scanned_values(volume: Volume, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate a volume with skull onto a grid: float32, and bool where it reaches."""
    to_input = index_map(volume.grid.affine, grid.affine)
    covered = resample_mask(np.ones(volume.grid.shape, bool), to_input, grid.shape)
    return resampled(volume, grid).data, covered


def tissue_of(volume: Volume) -> np.ndarray:
    """Return the tissue of a stripped volume, holes filled: ``(x, y, z)`` bool."""
    return fill_holes(find_tissue(volume.data, volume.grid.voxel_ml).mask)


def with_background(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Set everything but ``inside`` to 0, and shift the values there so that all are clearly above 0.

    Real scans hold 0, and values below, inside the brain. A shift changes nothing for the network, which sees z-scores.

    Args:
        values: ``(x, y, z)`` float32; not changed.
        inside: ``(x, y, z)`` bool.
    """
    result = np.zeros(values.shape, np.float32)
    kept = values[inside]
    if kept.size:
        low, high = np.percentile(kept, (1, 99))
        floor = _ABOVE * max(float(high - low), float(np.finfo(np.float32).tiny))
        shift = max(0.0, floor - float(kept.min()))
        result[inside] = kept + np.float32(shift)
    return result


def _stripped_values(volume: Volume, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate tissue with tissue only: across thick slices, the background would darken the border of the brain."""
    to_input = index_map(volume.grid.affine, grid.affine)
    tissue = tissue_of(volume)
    share = resample_linear(tissue, to_input, grid.shape)
    inside = share >= 0.5
    values = resample_linear(np.where(tissue, volume.data, 0).astype(np.float32), to_input, grid.shape)
    values[inside] /= share[inside]
    return values, inside
