"""Finding the series of a study on whose voxels a volume lies that was read from another file."""

from __future__ import annotations

from pathlib import Path

from training.dicom.headers import SourceHeaders
from training.dicom.read import read_grid, source_headers
from training.dicom.series import Series, find_series
from training.errors import InputError
from training.images.grid import Grid
from training.images.lattice import shares_voxels
from training.modalities import REFERENCE_ORDER


def headers_of_volume(folder: Path, grid: Grid) -> SourceHeaders:
    """Return the headers of the series that a volume or labelmap was made of.

    Args:
        folder: With the DICOM files of that series, and perhaps others.
        grid: Of the volume; it may have other axes than the series, or be a part of it.

    Raises:
        InputError: If no series of the folder has these voxels, or several do that cannot be told apart; ``field`` is
            ``"dicom"``.
    """
    found = find_series(folder)
    lying = [one for one in found if not one.problem and _lies_on(grid, one)]
    for role in REFERENCE_ORDER if len(lying) > 1 else ():
        of_role = [one for one in lying if one.role == role]
        lying = of_role or lying
        if of_role:
            break
    if len(lying) == 1:
        return source_headers(lying[0].instances, lying[0].part)
    if lying:
        titles = ", ".join(one.title for one in lying)
        raise InputError(
            f"Several DICOM series have the voxels of the volume: {titles}. Give the one that was segmented alone.",
            field="dicom",
        )
    if not found:
        raise InputError(f"{folder} holds no DICOM images.", field="dicom")
    listed = ", ".join(f"{one.title} ({one.problem})" if one.problem else one.title for one in found)
    raise InputError(
        f"No DICOM series has the voxels of the volume. Found are {listed}. Give the series that was segmented.",
        field="dicom",
    )


def _lies_on(grid: Grid, series: Series) -> bool:
    try:
        of_series = read_grid(series.instances, series.part)
    except InputError:
        return False
    return shares_voxels(grid, of_series)
