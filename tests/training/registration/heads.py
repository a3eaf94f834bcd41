"""A small made head in several contrasts, and its acquisition after a known motion."""

from __future__ import annotations

import functools

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from training.images.grid import Grid, Volume, transform_points
from training.images.resample import index_map, resample_linear

#: Intensities of air, skull, fluid, gray matter, white matter.
CONTRASTS = {"t1": (0, 20, 40, 100, 150), "t2": (0, 15, 220, 130, 90)}
CENTER = np.array([0.0, -10.0, 5.0])


@functools.cache
def tissue(seed: int) -> np.ndarray:
    """Return labels ``(80, 96, 80)`` of 2 mm voxels: a lopsided ellipsoid with a skull and folded tissue."""
    rng = np.random.default_rng(seed)
    x, y, z = (axis - (size - 1) / 2 for axis, size in zip(np.indices((80, 96, 80)), (80, 96, 80), strict=True))
    width, length, height = (34, 42, 32) if seed == 1 else rng.uniform(28, 40, 3)
    radius = np.sqrt((x / width) ** 2 + (y / (length + 0.05 * z)) ** 2 + ((z + 0.06 * y) / height) ** 2)
    folds = ndimage.gaussian_filter(rng.normal(size=x.shape), 3)
    labels = np.digitize(folds / folds.std(), (-0.9, 0.1)) + 2
    labels[radius > 0.88] = 1
    labels[radius > 1] = 0
    return labels


def head(contrast: str, seed: int = 1) -> Volume:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = CENTER - affine[:3, :3] @ (np.array([80, 96, 80]) - 1) / 2
    return Volume(np.array(CONTRASTS[contrast], np.float32)[tissue(seed)], Grid((80, 96, 80), affine))


def motion(degrees: float, axis: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    """Return the 4x4 matrix of a rotation about the center of the head and a shift in mm."""
    unit = np.array(axis) / np.linalg.norm(axis)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * unit).as_matrix()
    matrix[:3, 3] = CENTER + shift - matrix[:3, :3] @ CENTER
    return matrix


def scanned(
    volume: Volume, matrix: np.ndarray, spacing: tuple[float, float, float], tilt: float = 0.0, noise: int = 5
) -> Volume:
    """Return what a scanner records of the head after a motion: oblique slices, with noise of a seed."""
    shape = tuple(round(length / size) for length, size in zip((190, 220, 190), spacing, strict=True))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec([np.radians(tilt), 0, 0]).as_matrix() * spacing
    affine[:3, 3] = CENTER - affine[:3, :3] @ (np.array(shape) - 1) / 2
    data = resample_linear(volume.data, index_map(matrix @ volume.grid.affine, affine), shape)  # type: ignore[arg-type]
    data += np.random.default_rng(noise).normal(0, 4, shape).astype(np.float32)
    return Volume(data, Grid(shape, affine))  # type: ignore[arg-type]


def mean_error(found: np.ndarray, true: np.ndarray) -> float:
    """Return the mean distance in mm, over the head, between where two motions put a point."""
    grid = head("t1").grid
    points = transform_points(grid.affine, np.argwhere(tissue(1) > 1)[::97])
    return float(np.linalg.norm(transform_points(found, points) - transform_points(true, points), axis=1).mean())
