"""Series found in a folder, and chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.training.dicom.made_series import NAMES, made_study, voxels, write_study
from training.dicom.choose import choose
from training.dicom.read import read_instances
from training.dicom.series import find_series


def test_a_study_of_four_series_is_found_and_read(tmp_path: Path) -> None:
    write_study(made_study(), tmp_path)
    chosen = choose(find_series(tmp_path))
    assert {role: series.description for role, series in chosen.items()} == NAMES
    for place, series in enumerate(chosen.values()):
        volume = read_instances(series.instances, series.part)
        np.testing.assert_array_equal(volume.data, voxels(seed=place).T)
        np.testing.assert_allclose(volume.grid.affine[:3, 3], (30.0, 25.0, -40.0))
        np.testing.assert_allclose(volume.grid.spacing, (0.8, 0.9, 5.0))
        assert volume.grid.axcodes == "LPS"
