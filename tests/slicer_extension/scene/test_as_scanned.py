"""The first look at volumes: as they were scanned, or prepared."""

from typing import Any

import numpy as np
import pytest
from TumorLoopLib.scene import alignment
from TumorLoopLib.scene.as_scanned import FirstLook, shows_skull

from tests import synthetic
from tests.slicer_extension.scene.nodes import ball, make_volume, moved_by, oblique, world_of

ROLES = ("t1", "t1ce", "t2", "flair")
SIDE = 64


def head(radius: float, noise: int = 0) -> np.ndarray:
    array = 500 * ball((SIDE,) * 3, (32, 32, 32), radius).astype(np.int16)
    return array + np.random.default_rng(0).integers(0, noise + 1, array.shape, dtype=np.int16)


def test_a_brain_is_told_from_a_head_by_its_volume_and_by_the_noise_around_it():
    voxel = 4.0**3
    brain, whole_head, noisy = head(17), head(28), head(17, noise=9)
    assert [shows_skull(array, voxel) for array in (brain, whole_head, noisy)] == [False, True, True]
    assert not shows_skull(head(17).astype(np.float32) - 250.0, voxel), "a background may have any value"
    grid = synthetic.brats_grid()
    for role in ROLES:
        assert not shows_skull(synthetic.head(grid, role).data, float(abs(np.linalg.det(grid.affine[:3, :3]))))


def test_volumes_on_grids_of_their_own_or_with_a_skull_are_as_scanned_and_each_is_looked_at_once(scene, monkeypatch):
    matrix = oblique((4.0, 4.0, 4.0))
    nodes = {role: make_volume(role, head(17), matrix) for role in ROLES}
    look = FirstLook()
    assert look.reasons(nodes) == []
    monkeypatch.setattr("TumorLoopLib.scene.as_scanned.shows_skull", lambda *_: True)
    assert look.reasons(nodes) == []
    monkeypatch.undo()
    nodes["t2"].SetOrigin(0.0, 0.0, 1.0)
    assert look.reasons(nodes) == ["The volumes do not share one grid."]
    nodes["t1"] = make_volume("whole head", head(28), matrix)
    assert look.reasons(nodes) == ["The skull is visible in T1.", "The volumes do not share one grid."]


def test_what_the_registration_has_moved_still_shares_its_grid(scene):
    nodes = {role: make_volume(role, head(17), oblique((4.0, 4.0, 4.0))) for role in ROLES}
    alignment.place(nodes["t2"], world_of(nodes["t2"]), moved_by(), "T1ce")
    assert FirstLook().reasons(nodes) == []


@pytest.mark.parametrize("folder", ["TCGA-FG-6692_native", "brats_tcga/Brats18_TCIA01_201_1"])
def test_real_stripped_patients_show_no_skull(real_cases, folder):
    import nibabel

    for path in sorted((real_cases / folder).glob("*.nii.gz")):
        volume: Any = nibabel.load(path)
        if "seg" not in path.name:
            spacing = float(abs(np.linalg.det(volume.affine[:3, :3])))
            assert not shows_skull(np.asanyarray(volume.dataobj), spacing), path.name
