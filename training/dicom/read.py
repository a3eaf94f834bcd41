"""Reading a series as a volume: pixels with their rescale, and the affine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from training.dicom.geometry import Geometry, geometry_of
from training.dicom.headers import SourceHeaders
from training.dicom.image import Image
from training.dicom.pixels import stored_frames
from training.dicom.scan import read_images
from training.dicom.split import split
from training.errors import InputError
from training.images.grid import Grid, Volume, checked_grid

_READERS = 4


def read_instances(instances: Sequence[Path], part: int | None = None) -> Volume:
    """Read the instances of one series as a volume.

    Args:
        instances: Files of one volume, in any order; or multi-frame files.
        part: Index of the volume among those of multi-frame files that hold several; ``None`` for the only one.

    Returns:
        float32 ``(x, y, z)``: columns, rows, slices. With rescale; MONOCHROME1 is inverted; padding is replaced by the
        smallest value.

    Raises:
        InputError: If a file cannot be read, or the files are not one volume.
    """
    geometry = _geometry(instances, part)
    grid = _grid(geometry, instances)  # it refuses too many voxels
    return Volume(_voxels(geometry), grid)


def read_grid(instances: Sequence[Path], part: int | None = None) -> Grid:
    """Read the grid of :func:`read_instances` without the pixels.

    Raises:
        InputError: As :func:`read_instances`, but damaged pixels are not detected.
    """
    return _grid(_geometry(instances, part), instances)


def source_headers(instances: Sequence[Path], part: int | None = None) -> SourceHeaders:
    """Read the headers of a series, in the order of the slices of :func:`read_instances`.

    Raises:
        InputError: As :func:`read_instances`.
    """
    order = _geometry(instances, part).order
    if order[0].frame is None:
        return SourceHeaders.read([image.path for image in order])
    paths = list(dict.fromkeys(image.path for image in order))
    if len(paths) > 1:
        raise InputError(f"{paths[0]} and {paths[1]} hold one volume in several multi-frame files.")
    return SourceHeaders.read(paths, [image.frame or 1 for image in order])


def _geometry(instances: Sequence[Path], part: int | None) -> Geometry:
    if not instances:
        raise InputError("There are no DICOM files.")
    images, unread = read_images(instances)
    for path, reason in unread.items():
        raise InputError(f"{path}: {reason}. Copy or export the series again.")
    for image in images:
        if image.damage:
            raise InputError(f"{image.path}: {image.damage}. Copy or export the series again.")
    volumes = split(images)
    if part is None and len(volumes) > 1:
        raise InputError(f"The {len(instances)} DICOM files from {instances[0]} hold {len(volumes)} volumes, not one.")
    if not 0 <= (part or 0) < len(volumes):
        raise InputError(f"{instances[0]} holds {len(volumes)} volumes; there is no volume {part}.")
    geometry = geometry_of(volumes[part or 0])
    if geometry.problem:
        raise InputError(f"The series of {instances[0]} cannot be read: {geometry.problem}.")
    return geometry


def _grid(geometry: Geometry, instances: Sequence[Path]) -> Grid:
    first = geometry.order[0]
    return checked_grid((first.columns, first.rows, len(geometry.order)), geometry.affine, instances[0])


def _voxels(geometry: Geometry) -> np.ndarray:
    first = geometry.order[0]
    volume = np.empty((len(geometry.order), first.rows, first.columns), np.float32)
    by_file: dict[Path, list[tuple[int, Image]]] = defaultdict(list)
    for place, image in enumerate(geometry.order):
        by_file[image.path].append((place, image))

    def fill(path: Path) -> None:
        images = by_file[path]
        frames = stored_frames(path, [image.frame for _, image in images])
        for (place, image), values in zip(images, frames, strict=True):
            if values.shape != volume.shape[1:]:
                raise InputError(f"{path} holds {values.shape} pixels, its header says otherwise. Copy it again.")
            volume[place] = _rescaled(values, image)

    with ThreadPoolExecutor(_READERS) as pool:
        list(pool.map(fill, by_file))
    empty = ~np.isfinite(volume)
    if empty.any():
        volume[empty] = 0.0 if empty.all() else volume[~empty].min()
    if first.photometric == "MONOCHROME1":
        volume = volume.max() + volume.min() - volume
    return volume.transpose(2, 1, 0)


def _rescaled(values: np.ndarray, image: Image) -> np.ndarray:
    """Return float32 with slope and intercept; padding is NaN."""
    if (image.slope, image.intercept) == (1.0, 0.0):
        scaled = values.astype(np.float32)
    else:
        scaled = (values * np.float64(image.slope) + np.float64(image.intercept)).astype(np.float32)
    if image.padding:  # 0 is what surrounds a head anyway
        scaled[values == image.padding] = np.nan
    return scaled
