"""Axial planes of volumes and labelmaps, sampled in patient coordinates.

Planes follow the radiological convention: anterior is up and the patient's right is on the left. Pixels are square for
any voxel size, and every volume is sampled through its own affine, so that series on different grids show the same
anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.images.grid import Grid, Volume


@dataclass(frozen=True)
class AxialView:
    """Axial planes of one grid, cropped to the head.

    Attributes:
        grid: The grid whose slices are shown, in any orientation; oblique grids are sliced along their own axes.
        low: Lower corner of the box in voxels of the grid's canonical (RAS) order, x, y, z.
        high: Upper corner, inclusive.
        shape: Height and width of a plane in pixels.
    """

    grid: Grid
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    shape: tuple[int, int]

    @classmethod
    def around(cls, volume: Volume, grid: Grid, *, width: int = 300, height: int = 360) -> AxialView:
        """Fit the head in ``volume`` into planes of ``width`` by ``height`` pixels along the axes of ``grid``."""
        low, high = _head_box(volume)
        corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
        to_grid = np.linalg.inv(canonical_affine(grid)) @ volume.grid.affine
        inside = corners @ to_grid[:3, :3].T + to_grid[:3, 3]
        last = np.asarray(_canonical_shape(grid), float) - 1
        low, high = np.clip(inside.min(0), 0, last), np.clip(inside.max(0), 0, last)
        spacing = np.linalg.norm(canonical_affine(grid)[:3, :3], axis=0)
        extent = (high - low) * spacing
        pixel = max(extent[0] / (0.94 * width), extent[1] / (0.94 * height), 0.05)
        center, half = (low + high) / 2, np.array([width, height]) * pixel / spacing[:2] / 2
        box_low = (float(center[0] - half[0]), float(center[1] - half[1]), float(low[2]))
        box_high = (float(center[0] + half[0]), float(center[1] + half[1]), float(high[2]))
        return cls(grid, box_low, box_high, (height, width))

    @cached_property
    def affine(self) -> np.ndarray:
        """Canonical voxel index to RAS millimeters."""
        return canonical_affine(self.grid)

    @property
    def slices(self) -> range:
        """The slices of the box, from the lowest to the highest."""
        return range(int(np.ceil(self.low[2])), int(np.floor(self.high[2])) + 1)

    @property
    def thickness(self) -> float:
        """Distance of two slices in millimeters."""
        return float(np.linalg.norm(self.affine[:3, 2]))

    def plane(self, volume: Volume, index: int) -> np.ndarray:
        """Return one slice of an image, float32 of :attr:`shape`, interpolated linearly."""
        from scipy.ndimage import map_coordinates

        points = self._points(volume.grid, index)
        low = float(volume.data.min())
        return map_coordinates(volume.data, points, np.float32, order=1, mode="constant", cval=low).reshape(self.shape)

    def labels(self, labelmap: Volume, index: int) -> np.ndarray:
        """Return one slice of a labelmap, uint8 of :attr:`shape`, by nearest neighbor; 0 outside its grid."""
        points = np.rint(self._points(labelmap.grid, index)).astype(np.int64)
        shape = np.asarray(labelmap.data.shape)[:, None]
        inside = np.all((points >= 0) & (points < shape), axis=0)
        found = np.zeros(points.shape[1], np.uint8)
        found[inside] = labelmap.data[tuple(points[:, inside])]
        return found.reshape(self.shape)

    def _points(self, grid: Grid, index: int) -> np.ndarray:
        height, width = self.shape
        x = np.linspace(self.high[0], self.low[0], width)
        y = np.linspace(self.high[1], self.low[1], height)
        rows, columns = np.meshgrid(y, x, indexing="ij")
        canonical = np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, float(index)), np.ones(rows.size)])
        return (np.linalg.inv(grid.affine) @ self.affine @ canonical)[:3]


def canonical_affine(grid: Grid) -> np.ndarray:
    """Return the affine of ``grid`` with its axes flipped and permuted to be nearest to RAS."""
    from nibabel.orientations import inv_ornt_aff, io_orientation

    return grid.affine @ inv_ornt_aff(io_orientation(grid.affine), grid.shape)


def tumor_area_per_slice(labelmap: Volume) -> np.ndarray:
    """Return the number of tumor voxels in each axial slice (canonical order, from the lowest up)."""
    from nibabel.orientations import io_orientation

    axis = int(np.argmax(io_orientation(labelmap.grid.affine)[:, 0] == 2))
    flipped = io_orientation(labelmap.grid.affine)[axis, 1] < 0
    others = tuple(other for other in range(3) if other != axis)
    counts = np.count_nonzero(labelmap.data, axis=others)
    return counts[::-1] if flipped else counts


def window(volume: Volume) -> tuple[float, float]:
    """Return the intensities shown as black and as white."""
    sample = volume.data[::2, ::2, ::2]
    background = _background(volume.data)
    away = np.abs(sample - background)
    inside = sample[away > 1e-3 * (float(np.percentile(away, 99.9)) or 1.0)]  # not of its maximum: outliers
    if inside.size == 0:
        return float(background), float(background) + 1.0
    low, middle, high = np.percentile(inside, (0.5, 50, 99.7))
    # A few voxels below the background (from interpolation) must not turn the background gray.
    black = background if background < middle else float(low)
    return black, float(high) if high > black else black + 1.0


def _background(data: np.ndarray) -> float:
    """Return the background value, which is that of the borders."""
    borders = [data[0], data[-1], data[:, 0], data[:, -1], data[:, :, 0], data[:, :, -1]]
    return float(np.median(np.concatenate([border.ravel() for border in borders])))


def _head_box(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    data = volume.data
    background = _background(data)
    bright = float(np.percentile(np.abs(data[::2, ::2, ::2] - background), 99.5))
    mask = np.abs(data - background) > 0.1 * bright if bright > 0 else np.zeros(data.shape, bool)
    low, high = np.zeros(3), np.asarray(data.shape, float) - 1
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        # A few bright voxels outside the head must not enlarge the box.
        filled = np.flatnonzero(mask.mean(axis=others) > 0.002)
        if filled.size:
            low[axis], high[axis] = filled[0], filled[-1]
    return low, high


def _canonical_shape(grid: Grid) -> tuple[int, ...]:
    from nibabel.orientations import io_orientation

    shape = [0, 0, 0]
    for source, (target, _) in enumerate(io_orientation(grid.affine)):
        shape[int(target)] = grid.shape[source]
    return tuple(shape)
