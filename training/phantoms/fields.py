"""Smooth random fields and separable resampling, as matrix products.

All operations at full resolution (noise at any scale, deformation, blur, slice thickness, shift, ghosts) are linear and
separable. One small matrix per axis and three BLAS products are many times faster than general interpolation, and have
no block artifacts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

Shape = tuple[int, int, int]


def apply_axes(field: np.ndarray, matrices: Sequence[np.ndarray | None]) -> np.ndarray:
    """Multiply each axis of ``field`` (x, y, z) by its matrix ``(new, old)``; ``None`` leaves the axis alone."""
    first, second, third = matrices
    if third is not None:
        field = field @ third.T
    if second is not None:
        field = np.matmul(second, field)
    if first is not None:
        rest = field.shape[1:]
        field = (first @ field.reshape(field.shape[0], -1)).reshape(first.shape[0], *rest)
    return field


@lru_cache(maxsize=256)
def spline_matrix(length: int, spacing: float) -> np.ndarray:
    """Cubic B-spline basis ``(length, controls)`` for control points ``spacing`` voxels apart."""
    position = np.arange(length) / spacing
    start = np.floor(position).astype(int)
    t = position - start
    weights = np.stack(
        [(1 - t) ** 3 / 6, (3 * t**3 - 6 * t**2 + 4) / 6, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6, t**3 / 6], axis=1
    )
    matrix = np.zeros((length, int(start[-1]) + 4), np.float32)
    for offset in range(4):
        matrix[np.arange(length), start + offset] = weights[:, offset]
    return matrix


@lru_cache(maxsize=64)
def halfway_matrix(length: int) -> np.ndarray:
    """Linear interpolation ``(length, half)`` from every second voxel to all of them."""
    matrix = np.zeros((length, half_length(length)), np.float32)
    index = np.arange(length)
    matrix[index, index // 2] += 0.5
    matrix[index, (index + 1) // 2] += 0.5
    return matrix


def half_length(length: int) -> int:
    """Number of samples at 0, 2, 4 ... that enclose ``length`` voxels."""
    return length // 2 + 1


def smooth_noise(rng: np.random.Generator, shape: Shape, scale: float) -> np.ndarray:
    """Gaussian field of zero mean and unit deviation with details of about ``scale`` voxels, float32."""
    matrices = [spline_matrix(length, float(scale)) for length in shape]
    controls = rng.standard_normal(tuple(matrix.shape[1] for matrix in matrices), dtype=np.float32)
    power = math.prod(float(np.mean(np.sum(matrix**2, axis=1))) for matrix in matrices)
    controls /= math.sqrt(power)
    return apply_axes(controls, matrices)


def upsample(field: np.ndarray, shape: Shape) -> np.ndarray:
    """Interpolate a field given at every second voxel (:func:`half_length` per axis) linearly to ``shape``."""
    return apply_axes(field, [halfway_matrix(length) for length in shape])


def smoothstep(value: np.ndarray) -> np.ndarray:
    """Clip to 0-1 with soft ends, ``3 t^2 - 2 t^3``; works in place on ``value``."""
    np.clip(value, 0, 1, out=value)
    return value * value * (3 - 2 * value)


def scan_matrix(
    length: int,
    *,
    blur: float,
    thickness: float = 1.0,
    shift: float = 0.0,
    phase: float = 0.0,
    ghost: float = 0.0,
    stairs: bool = False,
    gains: np.ndarray | None = None,
) -> np.ndarray:
    """The effect of a scanner and of resampling to 1 mm along one axis, as one ``(length, length)`` matrix.

    Slices ``thickness`` voxels apart average a Gaussian-smoothed box of that width and are interpolated linearly to
    single voxels. ``ghost`` adds a faint copy half the field of view away, as by motion.

    Args:
        length: Number of voxels.
        blur: Standard deviation of the point spread, in voxels.
        thickness: Slice thickness and distance, in voxels; 1 or less means none.
        shift: Misregistration in voxels.
        phase: Position of the first slice, in slices (0-1).
        ghost: Strength of the ghost (0 to about 0.1).
        stairs: Whether single voxels take the nearest slice instead of interpolating.
        gains: Brightness of the slices, in order, as many as there are; repeated if there are fewer.
    """
    index = np.arange(length, dtype=np.float64)
    if thickness <= 1.0:
        matrix = _gaussian_rows(index + shift, length, max(blur, 0.05))
    else:
        centers = np.arange(phase * thickness - thickness, length + thickness, thickness)
        width = math.hypot(blur, thickness / math.sqrt(12))
        slices = _gaussian_rows(centers + shift, length, width)
        if gains is not None:
            slices = slices * np.resize(gains, len(centers))[:, None]
        place = np.clip((index - centers[0]) / thickness, 0, len(centers) - 1.001)
        if stairs:
            place = np.clip(np.round(place), 0, len(centers) - 2)
        lower = place.astype(int)
        part = (place - lower)[:, None]
        matrix = (1 - part) * slices[lower] + part * slices[lower + 1]
    if ghost:
        matrix = (1 - ghost) * matrix + ghost * np.roll(matrix, length // 2, axis=0)
    return matrix.astype(np.float32)


def _gaussian_rows(centers: np.ndarray, length: int, width: float) -> np.ndarray:
    distance = centers[:, None] - np.arange(length)[None, :]
    # below the voxel size: linear interpolation
    rows = np.clip(1 - np.abs(distance), 0, None) if width < 0.3 else np.exp(-0.5 * (distance / width) ** 2)
    total = rows.sum(axis=1, keepdims=True)
    nearest = np.clip(np.round(centers).astype(int), 0, length - 1)
    rows = np.where(total > 1e-3, rows / np.maximum(total, 1e-3), np.eye(length)[nearest])
    return rows
