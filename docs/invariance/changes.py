"""Changes of a head's voxels and grids that keep its anatomy: padding, orientation, intensities, outliers.

Each function takes and returns the four modalities by role, or makes such a function. Heads are skull-stripped with a
background of 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import nibabel
import numpy as np

from docs.invariance.formats import Head
from training.images.derived_grids import shifted
from training.images.grid import Grid, Volume
from training.images.masks import bounding_box

Change = Callable[[Head], Head]

#: Voxels added at the start and the end of each axis.
Widths = Sequence[tuple[int, int]]
ALL_AROUND: Widths = ((20, 30), (25, 15), (10, 20))
ONE_SIDE: Widths = ((0, 0), (60, 0), (0, 0))


def each(change: Callable[[Volume], Volume]) -> Change:
    """Make a change of the head from one of a volume."""
    return lambda head: {role: change(volume) for role, volume in head.items()}


def each_by_role(changes: Mapping[str, Callable[[Volume], Volume]]) -> Change:
    """Make a change of the head from one per role."""
    return lambda head: {role: changes[role](volume) for role, volume in head.items()}


def in_turn(*changes: Change) -> Change:
    """Make one change of several, the first first."""

    def change(head: Head) -> Head:
        for one in changes:
            head = one(head)
        return head

    return change


def intensities(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[Volume], Volume]:
    """Apply a function to the voxels as float32; the result is float32."""
    return lambda volume: Volume(function(volume.data.astype(np.float32)).astype(np.float32), volume.grid)


def scaled(factor: float) -> Callable[[Volume], Volume]:
    """Multiply the intensities."""
    return intensities(lambda data: data * factor)


def offset(by: float) -> Callable[[Volume], Volume]:
    """Add to the intensities, those of the background too."""
    return intensities(lambda data: data + by)


def zscored_whole(volume: Volume) -> Volume:
    """Give the whole image, background included, mean 0 and deviation 1; the background becomes negative."""
    return intensities(lambda data: (data - data.mean(dtype=np.float64)) / data.std(dtype=np.float64))(volume)


def zscored_brain(volume: Volume) -> Volume:
    """Give the brain mean 0 and deviation 1 and leave the background at 0, in the middle of the brain's values."""

    def normalized(data: np.ndarray) -> np.ndarray:
        inside = data != 0
        values = data[inside].astype(np.float64)
        return np.where(inside, (data - values.mean()) / values.std(), 0)

    return intensities(normalized)(volume)


def from_zero(volume: Volume) -> Volume:
    """Shift whole numbers so that the lowest is 0, for a data type without sign."""
    return Volume(volume.data.astype(np.int32) - int(volume.data.min()), volume.grid)


def nan_background(volume: Volume) -> Volume:
    """Mark the background as "not a number", as some programs do."""
    return intensities(lambda data: np.where(data == 0, np.nan, data))(volume)


def padded(widths: Widths, value: float | None) -> Callable[[Volume], Volume]:
    """Add voxels around; ``None`` for the value of the first voxel, which is background."""

    def change(volume: Volume) -> Volume:
        fill = volume.data[0, 0, 0] if value is None else value
        data = np.pad(volume.data, widths, constant_values=fill)
        start, shape = [-before for before, _ in widths], list(data.shape)
        return Volume(data, shifted(volume.grid, start, shape))

    return change


def cropped(margins: Mapping[str, int]) -> Change:
    """Crop each role to the bounding box of its brain and the margin given for it; others keep their grid."""

    def change(head: Head) -> Head:
        return {role: _cropped(volume, margins[role]) if role in margins else volume for role, volume in head.items()}

    return change


def _cropped(volume: Volume, margin: int) -> Volume:
    box = bounding_box(volume.data != 0, margin)
    assert box is not None
    start, shape = [part.start for part in box], [part.stop - part.start for part in box]
    return Volume(volume.data[box], shifted(volume.grid, start, shape))


def oriented(axcodes: str) -> Callable[[Volume], Volume]:
    """Permute and flip the axes until they have these directions; the affine follows."""

    def change(volume: Volume) -> Volume:
        old = nibabel.orientations.io_orientation(volume.grid.affine)
        turn = nibabel.orientations.ornt_transform(old, nibabel.orientations.axcodes2ornt(axcodes))
        data = nibabel.orientations.apply_orientation(volume.data, turn)
        affine = volume.grid.affine @ nibabel.orientations.inv_ornt_aff(turn, volume.grid.shape)
        return Volume(data, Grid((data.shape[0], data.shape[1], data.shape[2]), affine))

    return change


def corners_of_turn(degrees: float, value: float) -> Change:
    """Fill what a turn of the field of view in the axial plane leaves empty; all four modalities the same.

    Only background is filled, so that nothing of the head changes.
    """

    def change(head: Head) -> Head:
        some = next(iter(head.values()))
        empty = _outside_turned_field(some.grid.shape, degrees)
        for volume in head.values():
            empty &= volume.data == volume.data[0, 0, 0]
        fill = each(lambda volume: Volume(np.where(empty, volume.data.dtype.type(value), volume.data), volume.grid))
        return fill(head)

    return change


def _outside_turned_field(shape: tuple[int, int, int], degrees: float) -> np.ndarray:
    angle, half = np.deg2rad(degrees), (np.asarray(shape[:2]) - 1) / 2
    x, y = np.ogrid[: shape[0], : shape[1]]
    x, y = x - half[0], y - half[1]
    turned_x, turned_y = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    outside = (np.abs(turned_x) > half[0]) | (np.abs(turned_y) > half[1])
    return np.repeat(outside[..., None], shape[2], axis=2)


def outliers(roles: Sequence[str], value: float, *, at_top: bool = False) -> Change:
    """Set three voxels near the lowest (or highest) slice of the brain to a value, as interpolation leaves them."""

    def spoiled(volume: Volume) -> Volume:
        data = volume.data.astype(np.float32)
        inside = np.argwhere(data != 0)
        level = inside[:, 2].max() - 3 if at_top else inside[:, 2].min() + 3
        data[tuple(inside[inside[:, 2] == level][:3].T)] = value
        return Volume(data, volume.grid)

    return lambda head: {role: spoiled(volume) if role in roles else volume for role, volume in head.items()}


def random_outliers(share: float, factor: float, *, in_background: bool = False) -> Change:
    """Set a share of the brain's (or background's) voxels to ``factor`` times the maximum, each role elsewhere."""

    def change(head: Head) -> Head:
        rng = np.random.default_rng(0)
        result = {}
        for role, volume in head.items():
            data = volume.data.astype(np.float32)
            places = np.argwhere((data == 0) if in_background else (data != 0))
            chosen = rng.choice(places, round(share * len(places)), replace=False)
            data[tuple(chosen.T)] = factor * data.max()
            result[role] = Volume(data, volume.grid)
        return result

    return change
