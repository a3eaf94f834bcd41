from functools import lru_cache

import numpy as np
import pytest

from tests.training import rejected
from training.images.grid import Grid, transform_points
from training.images.resample import index_map, resample_linear
from training.modalities import ROLES
from training.phantoms.raw import RawStudy, raw_study


@lru_cache(maxsize=1)
def study() -> RawStudy:
    return raw_study(4, degrees=20, mm=25, small=True)


def test_a_raw_study_holds_four_series_on_their_own_grids_and_the_truth_on_that_of_t1ce():
    raw = study()
    assert list(raw.volumes) == list(ROLES)
    assert len({volume.grid for volume in raw.volumes.values()}) == 4
    assert raw.label.grid == raw.brain.grid == raw.head.grid == raw.volumes["t1ce"].grid
    assert np.array_equal(raw.transforms["t1ce"], np.eye(4))
    assert 1000 < raw.brain.data.sum() * raw.brain.grid.voxel_ml < 2000
    assert set(np.unique(raw.label.data)) == {0, 1, 2, 3}
    assert not np.any(raw.label.data[raw.brain.data == 0])
    assert not np.any(raw.brain.data[raw.head.data == 0])
    for role in ("t1", "t2", "flair"):
        assert max(raw.volumes[role].grid.spacing) >= 4
        assert raw.error(role, raw.transforms[role]) == 0
        assert 1 < raw.error(role, np.eye(4)) < 60


def test_the_known_motion_brings_the_series_together_and_the_headers_alone_do_not():
    raw = study()
    grid, inside = raw.brain.grid, raw.brain.data > 0
    values = raw.volumes["t1ce"].data[inside]
    for role in ("t1", "flair"):
        moving = raw.volumes[role]
        seen = []
        for motion in (raw.transforms[role], np.eye(4)):
            onto = np.linalg.inv(moving.grid.affine) @ motion @ grid.affine
            seen.append(np.corrcoef(values, resample_linear(moving.data, onto, grid.shape)[inside])[0, 1])
        assert seen[0] > max(0.2, seen[1] + 0.1), role


def test_tissue_outside_the_brain_has_the_contrast_of_its_modality():
    raw = study()
    aligned = {}
    for role, volume in raw.volumes.items():
        onto = np.linalg.inv(volume.grid.affine) @ raw.transforms[role] @ raw.brain.grid.affine
        aligned[role] = resample_linear(volume.data, onto, raw.brain.grid.shape)
    brain, air = raw.brain.data > 0, raw.head.data == 0
    for role, image in aligned.items():
        assert np.median(image[air]) < 0.15 * np.median(image[brain]), role
    scalp = (raw.head.data > 0) & ~brain
    assert np.mean(aligned["t1"][scalp] > np.median(aligned["t1"][brain])) > 0.1  # fat
    assert np.mean(aligned["t1"][scalp] < 0.3 * np.median(aligned["t1"][brain])) > 0.1  # bone


def test_the_same_seed_gives_the_same_study_and_aligned_volumes_are_stripped_and_lie_on_one_another():
    raw = study()
    again = raw_study(4, degrees=20, mm=25, small=True)
    for role in ROLES:
        assert np.array_equal(raw.volumes[role].data, again.volumes[role].data)
        assert np.array_equal(raw.transforms[role], again.transforms[role])
    grid = Grid((70, 90, 80), np.diag([2.0, 2, 2, 1]))
    center = raw.brain_points().mean(axis=0)
    grid.affine[:3, 3] = center - 2 * np.array(grid.shape) / 2
    aligned = raw.aligned(grid)
    assert aligned["t1ce"].grid == raw.volumes["t1ce"].grid
    assert not np.any(aligned["t1ce"].data[raw.brain.data == 0])
    t1ce = resample_linear(aligned["t1ce"].data, index_map(aligned["t1ce"].grid.affine, grid.affine), grid.shape)
    both = (t1ce > 0) & (aligned["t1"].data > 0)
    assert both.sum() * grid.voxel_ml > 1000
    assert np.corrcoef(t1ce[both], aligned["t1"].data[both])[0, 1] > 0.3


def test_motion_stays_within_its_limits_and_without_motion_headers_align_the_series():
    raw = study()
    center = transform_points(raw.brain.grid.affine, np.argwhere(raw.brain.data).mean(axis=0))
    for role in ("t1", "t2", "flair"):
        motion = raw.transforms[role]
        assert np.allclose(motion[:3, :3] @ motion[:3, :3].T, np.eye(3))
        assert np.linalg.det(motion[:3, :3]) == pytest.approx(1)
        assert np.arccos((np.trace(motion[:3, :3]) - 1) / 2) <= np.radians(20)
        assert np.linalg.norm(transform_points(motion, center) - center) < 25 + 10 * np.radians(20)
    still = raw_study(4, degrees=0, mm=0, tumor=False, small=True, defaced=True, partial=("t2",))
    for role in ROLES:
        assert np.allclose(still.transforms[role], np.eye(4))
    assert not still.label.data.any()
    full, part = (one.volumes["t2"].grid for one in (raw, still))
    assert part.shape[2] * part.spacing[2] < 0.8 * full.shape[2] * full.spacing[2]


def test_wrong_arguments_are_refused():
    for arguments, field, message in (
        ({"seed": -1}, "seed", "must not be negative"),
        ({"seed": 1, "degrees": -3.0}, "degrees", "must not be negative"),
        ({"seed": 1, "mm": float("nan")}, "mm", "must not be negative"),
        ({"seed": 1, "partial": ("t3",)}, "partial", "no series .t3."),
    ):
        with rejected(message, field):
            raw_study(**arguments)
