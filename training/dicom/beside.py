"""The DICOM series that a volume in another format was made of."""

from __future__ import annotations

from pathlib import Path

from training.dicom.headers import SourceHeaders
from training.dicom.read import read_grid, source_headers
from training.dicom.series import find_series
from training.errors import InputError
from training.images.grid import Grid
from training.images.resample import index_map, whole_voxels


def headers_of_volume(folder: Path, grid: Grid) -> SourceHeaders:
    """Return the headers of the series that has the voxels of a volume, in whatever order.

    Args:
        folder: DICOM files.
        grid: Of the volume.

    Raises:
        InputError: If there is no such series; ``field`` is ``"dicom"``.
    """
    for one in find_series(folder):
        if not one.problem and _same_voxels(read_grid(one.instances, one.part), grid):
            return source_headers(one.instances, one.part)
    raise InputError("None of the DICOM series sent as dicom has the voxels of the reference volume.", field="dicom")


def _same_voxels(series: Grid, volume: Grid) -> bool:
    """Return whether two grids differ in the order and direction of their axes at most."""
    to_series = whole_voxels(index_map(series.affine, volume.affine), volume.shape)
    if to_series is None or sorted(series.shape) != sorted(volume.shape):
        return False
    ends = to_series[:3, :3] @ [side - 1 for side in volume.shape] + to_series[:3, 3]
    first = to_series[:3, 3]
    sides = zip(first, ends, series.shape, strict=True)
    return all({int(a), int(b)} == {0, side - 1} for a, b, side in sides)
