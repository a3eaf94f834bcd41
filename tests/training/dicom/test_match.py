"""Finding the DICOM series that a labelmap lies on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.dicom.made_series import Study, made_series, made_study, write, write_study
from training.dicom.match import headers_of_volume
from training.dicom.read import read_grid
from training.errors import InputError
from training.images.grid import Grid


def series_uid(folder: Path, grid: Grid) -> str:
    return str(headers_of_volume(folder, grid).datasets[0].SeriesInstanceUID)


def test_the_series_of_the_same_voxels_is_found_also_with_other_axes_or_cropped(tmp_path: Path) -> None:
    study = Study()
    coarse = made_series("t2", study=study, number=2, step=6.0)
    fine = made_series("t1ce", study=study, number=3, step=3.0)
    write(coarse, tmp_path / "a")
    paths = write(fine, tmp_path / "b")
    grid = read_grid(paths)
    turn = np.diag([-1.0, 1.0, 1.0, 1.0])
    turn[0, 3] = grid.shape[0] - 1
    cropped = grid.affine.copy()
    cropped[:3, 3] += grid.affine[:3, 2]
    one_less = (*grid.shape[:2], grid.shape[2] - 1)
    for other in (grid, replace(grid, affine=grid.affine @ turn), Grid(one_less, cropped)):
        assert series_uid(tmp_path, other) == fine[0].SeriesInstanceUID


def test_of_several_series_on_the_same_voxels_it_is_the_one_that_results_lie_on(tmp_path: Path) -> None:
    study = made_study()
    folder = write_study(study, tmp_path)
    grid = headers_grid(folder)
    assert series_uid(folder, grid) == study["t1ce"][0].SeriesInstanceUID


def headers_grid(folder: Path) -> Grid:
    from training.dicom.series import find_series

    first = find_series(folder)[0]
    return read_grid(first.instances, first.part)


def test_two_series_that_cannot_be_told_apart_are_named(tmp_path: Path) -> None:
    study = Study()
    paths = write(made_series("t1ce", study=study, number=4), tmp_path / "a")
    write(made_series("t1ce", study=study, number=5), tmp_path / "b")
    with pytest.raises(InputError, match=r"series 4 .* series 5 .*segmented alone") as caught:
        headers_of_volume(tmp_path, read_grid(paths))
    assert caught.value.field == "dicom"


def test_a_folder_without_the_series_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    write(made_series("t2", number=2), tmp_path / "study")
    elsewhere = Grid((12, 10, 8), np.eye(4))
    with pytest.raises(InputError, match=r"No DICOM series has the voxels.*series 2 'AX T2'"):
        headers_of_volume(tmp_path / "study", elsewhere)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no DICOM images"):
        headers_of_volume(tmp_path / "empty", elsewhere)
