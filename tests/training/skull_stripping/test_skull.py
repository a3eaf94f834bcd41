from functools import lru_cache

import numpy as np
import pytest

from training.cases.find import find_cases
from training.dicom.read import read_instances
from training.images.grid import Grid, Volume
from training.modalities import ROLES
from training.phantoms.raw import RawStudy, raw_study
from training.skull_stripping.skull import shows_skull


@lru_cache(maxsize=1)
def study() -> RawStudy:
    return raw_study(4, small=True)


def part(volume: Volume, sides: str, first: float, last: float) -> Volume:
    """The part of a volume between two fractions of its field of view, along for instance ``"IS"``: from I to S."""
    axis = next(axis for axis, code in enumerate(volume.grid.axcodes) if code in sides)
    if volume.grid.axcodes[axis] == sides[0]:  # the axis runs the other way
        first, last = 1 - last, 1 - first
    kept = [slice(None)] * 3
    kept[axis] = slice(int(first * volume.data.shape[axis]), int(last * volume.data.shape[axis]))
    data = volume.data[tuple(kept)]
    shift = np.eye(4)
    shift[axis, 3] = kept[axis].start
    x, y, z = data.shape
    return Volume(data, Grid((x, y, z), volume.grid.affine @ shift))


def without_air(volume: Volume) -> Volume:
    """What scanners and pseudonymization make of air: one value."""
    return Volume(np.where(volume.data < np.percentile(volume.data, 60), 0, volume.data), volume.grid)


@pytest.mark.parametrize("role", ROLES)
def test_a_raw_series_shows_the_skull_and_its_brain_alone_does_not(role):
    volume = study().volumes[role]
    assert shows_skull(volume)
    assert shows_skull(without_air(volume))
    brain = study().aligned(study().brain.grid)[role]
    assert not shows_skull(brain)
    assert not shows_skull(Volume(3 * brain.data - 500, brain.grid))
    assert not shows_skull(zscored(brain))


def test_a_part_of_a_head_that_is_smaller_than_a_brain_shows_the_skull_and_a_part_of_a_brain_does_not():
    volume = study().volumes["t1ce"]
    brain = Volume(np.where(study().brain.data > 0, volume.data, np.float32(0)), volume.grid)
    for sides, first, last in (("IS", 0.55, 1), ("IS", 0.5, 0.75), ("PA", 0.5, 1), ("LR", 0, 0.5)):
        for head in (volume, without_air(volume)):
            assert shows_skull(part(head, sides, first, last)), (sides, first, last)
        assert not shows_skull(part(brain, sides, first, last)), (sides, first, last)


def test_a_defaced_head_shows_the_skull_and_a_brain_in_noise_does_not():
    defaced = raw_study(5, small=True, defaced=True).volumes
    assert all(shows_skull(volume) for volume in defaced.values())
    head, brain = study().volumes["t1ce"], study().brain.data > 0
    noise = np.abs(np.random.default_rng(1).normal(0, 0.02 * head.data[brain].mean(), head.data.shape))
    assert not shows_skull(Volume(np.where(brain, head.data, noise).astype(np.float32), head.grid))


def zscored(volume: Volume) -> Volume:
    """A brain as pipelines leave it: z-scored, in a background of 0, which is brighter than the fluid now."""
    brain = volume.data != 0
    values = (volume.data - volume.data[brain].mean()) / volume.data[brain].std()
    return Volume(np.where(brain, values, 0).astype(np.float32), volume.grid)


def test_the_real_stripped_cases_show_no_skull(real_cases):
    cases = [case for case in find_cases(real_cases, allow_missing=True)[0] if "ReMIND" not in str(case.folder)]
    assert len(cases) == 16
    for case in cases:
        volumes = {role: case.read(role) for role in ROLES}
        assert [role for role, volume in volumes.items() if shows_skull(volume)] == [], case.id
        assert [role for role, volume in volumes.items() if shows_skull(zscored(volume))] == [], case.id


def test_a_real_defaced_head_shows_the_skull_also_in_halves(real_cases):
    for series in ("T1_POST", "T2"):
        volume = read_instances(sorted((real_cases / "ReMIND-022_dicom" / series).iterdir()))
        assert shows_skull(volume)
        for sides in ("LR", "PA", "IS"):
            assert shows_skull(part(volume, sides, 0, 0.5)), (series, sides)
            assert shows_skull(part(volume, sides, 0.5, 1)), (series, sides)
