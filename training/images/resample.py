"""Resampling arrays from one voxel grid to another.

Every function takes ``to_input``: a 4x4 affine from output voxel indices to input voxel indices. If it only permutes,
flips and shifts axes, voxels are copied exactly; otherwise SimpleITK interpolates. In index space, ITK need not support
oblique and sheared grids.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from training.images.grid import Grid, Volume
from training.images.masks import Box, bounding_box

#: Voxels closer than this fraction of a voxel count as identical.
_TOLERANCE = 1e-2

Shape = tuple[int, int, int]
Order = Literal["C", "F"]


def index_map(to_grid: np.ndarray, from_grid: np.ndarray) -> np.ndarray:
    """Return the affine from indices of the grid with affine ``from_grid`` to indices of ``to_grid``."""
    return np.linalg.inv(to_grid) @ from_grid


def whole_voxels(to_input: np.ndarray, shape: Shape) -> np.ndarray | None:
    """Return ``to_input`` as integers if it only permutes, flips and shifts voxels of an array of ``shape``.

    Returns:
        4x4 int64, or ``None`` if voxels would have to be interpolated.
    """
    rounded = np.round(to_input).astype(np.int64)
    linear = np.abs(rounded[:3, :3])
    if not (np.all(linear.sum(axis=0) == 1) and np.all(linear.sum(axis=1) == 1)):
        return None
    drift = np.abs(to_input - rounded)[:3]
    farthest = drift[:, :3] @ np.asarray(shape, float) + drift[:, 3]
    return rounded if float(farthest.max()) < _TOLERANCE else None


def copy_voxels(
    array: np.ndarray, to_input: np.ndarray, shape: Shape, fill: float = 0, order: Order = "C"
) -> np.ndarray:
    """Permute, flip, crop and pad an array.

    Args:
        array: ``(x, y, z)``.
        to_input: Integers, from :func:`whole_voxels`.
        shape: Shape of the result.
        fill: Value of voxels outside ``array``.
        order: Of the result in memory; ``F`` is that of a file.

    Returns:
        A new array of ``shape`` and the dtype of ``array``.
    """
    result = np.full(shape, fill, array.dtype, order)
    source_axes = [int(np.argmax(np.abs(to_input[:3, axis]))) for axis in range(3)]
    turned = array.transpose(source_axes)
    target, source = [], []
    for axis, source_axis in enumerate(source_axes):
        sign, shift = int(to_input[source_axis, axis]), int(to_input[source_axis, 3])
        length = array.shape[source_axis]
        if sign < 0:  # a flipped axis is indexed from its far end
            turned = np.flip(turned, axis)
            shift = length - 1 - shift
        first, last = max(0, -shift), min(shape[axis], length - shift)
        if first >= last:
            return result
        target.append(slice(first, last))
        source.append(slice(first + shift, last + shift))
    result[tuple(target)] = turned[tuple(source)]
    return result


def resample_linear(array: np.ndarray, to_input: np.ndarray, shape: Shape, fill: float = 0) -> np.ndarray:
    """Resample an image: copied if possible, else interpolated trilinearly.

    If the output is at least twice as coarse, voxels are averaged first to avoid aliasing of noise.

    Args:
        array: ``(x, y, z)``, real.
        to_input: Output to input indices.
        shape: Shape of the result.
        fill: Value of voxels outside ``array``.

    Returns:
        float32 of ``shape``.
    """
    whole = whole_voxels(to_input, shape)
    if whole is not None:
        return copy_voxels(array, whole, shape, fill).astype(np.float32, copy=False)
    array, to_input = _averaged(np.asarray(array, np.float32), to_input)
    return _interpolate(array, to_input, shape, fill)


def resampled(volume: Volume, grid: Grid) -> Volume:
    """Resample an image with a scanner's background onto a grid, as :func:`resample_linear`.

    Returns:
        float32 on ``grid``; the smallest value of ``volume`` where that does not reach.
    """
    to_input = index_map(volume.grid.affine, grid.affine)
    return Volume(resample_linear(volume.data, to_input, grid.shape, float(volume.data.min())), grid)


def resample_mask(mask: np.ndarray, to_input: np.ndarray, shape: Shape) -> np.ndarray:
    """Resample a boolean mask: true where the interpolated value is at least 0.5."""
    whole = whole_voxels(to_input, shape)
    if whole is not None:
        return copy_voxels(mask, whole, shape)
    return resample_linear(mask, to_input, shape) >= 0.5


def resample_labels(labels: np.ndarray, to_input: np.ndarray, shape: Shape, order: Order = "C") -> np.ndarray:
    """Resample a labelmap: each voxel gets the label with the largest interpolated fraction, background included.

    Args:
        labels: ``(x, y, z)`` uint8.
        to_input: Output to input indices.
        shape: Shape of the result.
        order: Of the result in memory; ``F`` is that of a file.

    Returns:
        uint8 of ``shape``; 0 outside ``labels``.
    """
    result = np.zeros(shape, np.uint8, order)
    box = bounding_box(labels > 0)
    if box is None:
        return result
    whole = whole_voxels(to_input, shape)
    if whole is not None:
        whole[:3, 3] -= [part.start for part in box]
        return copy_voxels(labels[box], whole, shape, order=order)
    region = _box_in_output(box, to_input, shape)
    if region is None:
        return result
    # Only the region around the tumor is interpolated: a shift moves its corner to the origin.
    size = tuple(part.stop - part.start for part in region)
    first = np.eye(4)
    first[:3, 3] = [part.start for part in region]
    to_region = to_input @ first
    present = [int(value) for value in np.unique(labels) if value]
    shares = [_interpolate((labels == value).astype(np.float32), to_region, size, 0.0) for value in present]
    best = np.max(shares, axis=0)
    winner = np.asarray(present, np.uint8)[np.argmax(shares, axis=0)]
    background = 1.0 - np.sum(shares, axis=0)
    result[region] = np.where(best > background, winner, 0)
    return result


def _box_in_output(box: Box, to_input: np.ndarray, shape: Shape) -> Box | None:
    """Return the output box that covers an input box with a margin of one voxel; ``None`` if it lies outside."""
    low = np.array([part.start - 1.0 for part in box])
    high = np.array([float(part.stop) for part in box])
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    inverse = np.linalg.inv(to_input)
    moved = corners @ inverse[:3, :3].T + inverse[:3, 3]
    first = np.maximum(np.floor(moved.min(axis=0)).astype(int), 0)
    last = np.minimum(np.ceil(moved.max(axis=0)).astype(int) + 1, shape)
    if np.any(first >= last):
        return None
    return tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))  # type: ignore[return-value]


def _averaged(array: np.ndarray, to_input: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average blocks of voxels along the axes on which the output is at least twice as coarse."""
    factors = np.maximum(np.abs(to_input[:3, :3]).max(axis=1).astype(int), 1)
    factors = np.where(np.asarray(array.shape) >= factors, factors, 1)
    to_blocks = np.eye(4)
    for axis, factor in enumerate(factors):
        if factor == 1:
            continue
        kept = array.shape[axis] // factor * factor
        index = [slice(None)] * 3
        total: Any = 0.0
        for offset in range(factor):
            index[axis] = slice(offset, kept, factor)
            total = total + array[tuple(index)]
        array = total / np.float32(factor)
        to_blocks[axis, axis] = 1.0 / factor
        to_blocks[axis, 3] = -(factor - 1) / (2.0 * factor)
    return array, to_blocks @ to_input


def _interpolate(array: np.ndarray, to_input: np.ndarray, shape: Shape, fill: float) -> np.ndarray:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T, np.float32))
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(to_input[:3, :3].ravel().tolist())
    transform.SetTranslation(to_input[:3, 3].tolist())
    moved = sitk.Resample(
        image,
        list(map(int, shape)),
        transform,
        sitk.sitkLinear,
        (0.0, 0.0, 0.0),
        (1.0, 1.0, 1.0),
        np.eye(3).ravel().tolist(),
        float(fill),
        sitk.sitkFloat32,
    )
    # always a copy: the view is invalid once the image is gone, and a transposed row is contiguous already
    return np.array(sitk.GetArrayViewFromImage(moved).T, order="C")
