"""NRRD files, including the segmentations of 3D Slicer, read through pynrrd."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from training.errors import InputError
from training.images.grid import Grid, grid_in_unit
from training.images.nrrd_voxels import files as files
from training.images.nrrd_voxels import parse_header, read_voxels
from training.images.position import unit_named
from training.images.segments import merge_segments, segments_of

#: Signs of x, y, z from a NRRD space to RAS.
_SPACES: dict[str, tuple[int, int, int]] = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
_TIMED = ("-time", "t")

#: What is said of a labelmap whose values are given by the names of its segments.
SEGMENT_NAMES = "segment names"
#: The field in which an exported labelmap says what its values mean.
STATEMENT_FIELD = "TumorLoop_Labels"


def read_header(path: Path) -> tuple[Grid, int]:
    """Return the grid and the number of volumes.

    Raises:
        InputError: If the file is not a NRRD file, or has no position.
    """
    header, _ = parse_header(path)
    spatial, listed = _axes(header, path)
    sizes = header["sizes"]
    return _grid(header, spatial, path), int(sizes[listed]) if listed is not None else 1


def load(path: Path) -> tuple[np.ndarray, Grid]:
    """Return ``(x, y, z, channel)`` in the stored dtype, and the grid.

    Raises:
        InputError: As :func:`read_header`, and if the data is truncated.
    """
    return _load(path, *parse_header(path))


def load_labels(path: Path) -> tuple[np.ndarray, Grid]:
    """Return a labelmap ``(x, y, z, 1)`` and its grid.

    The segments of a segmentation by 3D Slicer get the values of :mod:`training.labels` by their names and terminology
    (:mod:`training.images.segments`).

    Raises:
        InputError: As :func:`load`, and if a segment is none of the labels.
    """
    header, begin = parse_header(path)
    data, grid = _load(path, header, begin)
    segments = segments_of(header, data.shape[3], path)
    if segments:
        data = merge_segments(segments, data, grid.voxel_ml, path)[..., None]
    return data, grid


def label_statement(path: Path) -> str:
    """Return what the header says of the values of a labelmap: :data:`SEGMENT_NAMES`, our own words, or nothing.

    Raises:
        InputError: If the file is not a NRRD file.
    """
    header, _ = parse_header(path)
    if any(str(name).startswith("Segment0_") for name in header):
        return SEGMENT_NAMES
    return str(header.get(STATEMENT_FIELD, ""))


def _load(path: Path, header: Mapping[str, Any], begin: int) -> tuple[np.ndarray, Grid]:
    spatial, listed = _axes(header, path)
    grid = _grid(header, spatial, path)
    data = read_voxels(path, header, begin)
    data = data.transpose(*spatial, listed) if listed is not None else data[..., None]
    if data.dtype.kind not in "iuf":
        raise InputError(f"{path} holds {data.dtype} voxels, not intensities.")
    return data, grid


def _axes(header: Mapping[str, Any], path: Path) -> tuple[list[int], int | None]:
    """Return the spatial axes, and the axis of the volumes, if any."""
    sizes = [int(size) for size in header["sizes"]]
    directions = header.get("space directions")
    if directions is None:
        raise InputError(f"{path} does not say where its voxels lie: 'space directions' is missing. Save it again.")
    if len(directions) != len(sizes):
        raise InputError(f"{path}: 'space directions' names {len(directions)} axes, 'sizes' {len(sizes)}.")
    rows = [row if row is not None else [np.nan] for row in directions]
    spatial = [axis for axis, row in enumerate(rows) if np.all(np.isfinite(np.asarray(row, float)))]
    rest = [axis for axis in range(len(sizes)) if axis not in spatial]
    if len(spatial) == 4 and _is_timed(header):
        spatial, rest = spatial[:3], [3]
    if len(spatial) != 3 or len(rest) > 1:
        raise InputError(
            f"{path} is not a 3D volume: sizes {sizes}, of which {len(spatial)} axes have a direction in space "
            "('space directions')."
        )
    return spatial, rest[0] if rest else None


def _is_timed(header: Mapping[str, Any]) -> bool:
    return str(header.get("space", "")).lower().endswith(_TIMED)


def _grid(header: Mapping[str, Any], spatial: list[int], path: Path) -> Grid:
    space = str(header.get("space", "")).lower()
    if _is_timed(header):
        space = space.removesuffix("-time") if space.endswith("-time") else space[:-1]
    if space not in _SPACES:
        raise InputError(
            f"{path} does not say where its voxels lie: 'space' is {space or 'missing'}; known are "
            "left-posterior-superior, right-anterior-superior and left-anterior-superior."
        )
    if header.get("space origin") is None:
        raise InputError(f"{path} does not say where its voxels lie: 'space origin' is missing. Save it again.")
    affine = np.eye(4)
    for column, axis in enumerate(spatial):  # NRRD lists one vector per axis; in an affine those are columns
        affine[:3, column] = np.asarray(header["space directions"][axis], float)[:3]
    origin = np.asarray(header["space origin"], float)
    if origin.shape != (3,) and not _is_timed(header):
        raise InputError(f"{path}: 'space origin' has {origin.size} numbers; it needs 3.")
    affine[:3, 3] = origin[:3]
    sizes = [int(size) for size in header["sizes"]]
    shape = tuple(sizes[axis] for axis in spatial)
    volumes = math.prod(size for axis, size in enumerate(sizes) if axis not in spatial)
    affine = np.diag([*_SPACES[space], 1.0]) @ affine
    return grid_in_unit(shape, affine, _unit(header, spatial, path), path, volumes)


def _unit(header: Mapping[str, Any], spatial: list[int], path: Path) -> str:
    """Return the unit of the three spatial axes; empty if the header states none."""
    names = list(header.get("space units") or [])[:3]
    if not names:
        units = list(header.get("units") or [])
        names = [units[axis] for axis in spatial if axis < len(units)]
    units = [unit_named(name, path, "'space units'") for name in names]
    if len(set(units)) > 1:
        raise InputError(f"{path}: 'space units' names several units: {', '.join(names)}. Save it in millimeters.")
    return units[0] if units else ""
