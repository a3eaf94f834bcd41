from functools import lru_cache

import numpy as np
import pytest

from tests import synthetic
from tests.training import rejected
from training.images.derived_grids import canonical_grid, shifted
from training.images.grid import Grid, Volume
from training.images.masks import dice
from training.images.resample import index_map, resample_mask
from training.images.tissue import find_tissue
from training.modalities import ROLES
from training.phantoms.raw import RawStudy, raw_study
from training.preparation.prepare import prepare
from training.preprocessing.preprocess import Preprocessed, preprocess

OTHERS = ("t1", "t2", "flair")


@lru_cache(maxsize=1)
def study() -> RawStudy:
    return raw_study(4, small=True)


@lru_cache(maxsize=1)
def done() -> Preprocessed:
    return preprocess(study().volumes)


def stripped(role: str) -> Volume:
    """A series of the study, stripped on its own grid by the true brain."""
    raw = study()
    volume = raw.volumes[role]
    to_brain = index_map(raw.transforms[role] @ raw.brain.grid.affine, volume.grid.affine)
    inside = resample_mask(raw.brain.data > 0, to_brain, volume.grid.shape)
    return Volume(np.where(inside, volume.data, np.float32(0)), volume.grid)


def true_brain(grid: Grid) -> np.ndarray:
    brain = study().brain
    return resample_mask(brain.data > 0, index_map(brain.grid.affine, grid.affine), grid.shape)


def test_a_raw_study_becomes_four_stripped_volumes_that_lie_on_each_other():
    raw, found = study(), done()
    grid = canonical_grid(raw.volumes["t1ce"].grid)
    assert found.changed
    assert found.volumes["t1ce"].grid is raw.volumes["t1ce"].grid
    assert all(found.volumes[role].grid == grid for role in OTHERS)
    assert sorted(found.moved) == sorted(OTHERS)
    assert max(raw.error(role, found.alignments[role].matrix) for role in OTHERS) < 1.0
    assert found.brain is not None
    assert found.brain.grid == grid
    # the mask holds the fluid around the brain as well, the true brain of a phantom does not
    assert dice(found.brain.data > 0, true_brain(grid)) > 0.9
    label = raw.label
    tumor = resample_mask(label.data > 0, index_map(label.grid.affine, grid.affine), grid.shape)
    assert np.mean(found.brain.data[tumor]) > 0.98
    assert all(not np.any(found.volumes[role].data[found.brain.data == 0]) for role in OTHERS)


def test_what_was_done_is_told_step_by_step():
    found = done()
    steps = " ".join(found.steps)
    assert "Stripped the skull: 1," in steps
    for title in ("T1", "T2", "FLAIR"):
        assert f"Registered {title} to T1 with contrast: " in steps
    assert set(found.seconds) == {"registering", "stripping", "resampling"}


def test_preparation_finds_exactly_the_brain_of_preprocessing():
    found = done()
    assert found.brain is not None
    for role in OTHERS:
        volume = found.volumes[role]
        tissue = find_tissue(volume.data, volume.grid.voxel_ml)
        assert np.array_equal(tissue.mask, volume.data > 0), role
    prepared = prepare(found.volumes)
    working = prepared.frame.working
    again = resample_mask(found.brain.data > 0, index_map(found.brain.grid.affine, working.affine), working.shape)
    assert dice(prepared.brain, again) > 0.999


def test_preprocessed_volumes_pass_untouched():
    found = preprocess(done().volumes)
    assert not found.changed
    assert found.alignments == {}
    assert all(found.volumes[role] is done().volumes[role] for role in ROLES)


def test_stripped_volumes_on_one_grid_pass_untouched_in_whatever_order_of_axes():
    grid = synthetic.brats_grid()
    turned = Grid(grid.shape, grid.affine @ np.diag([-1.0, 1.0, 1.0, 1.0]))
    turned.affine[:3, 3] += grid.affine[:3, 0] * (grid.shape[0] - 1)
    volumes = synthetic.four_volumes(
        {"t1": grid, "t1ce": turned, "t2": shifted(grid, [2, 0, 1], [60, 72, 58]), "flair": grid}
    )
    found = preprocess(volumes)
    assert not found.changed
    assert all(found.volumes[role] is volumes[role] for role in ROLES)


def test_nothing_runs_if_the_volumes_are_said_to_be_stripped_and_aligned():
    found = preprocess(study().volumes, as_scanned=False)
    assert (found.changed, found.steps, found.brain) == (False, (), None)
    assert all(found.volumes[role] is study().volumes[role] for role in ROLES)


def test_stripped_series_are_registered_and_only_those_that_moved_are_resampled():
    raw = study()
    still = raw.transforms["t2"]
    t2 = stripped("t2")
    in_place = Volume(t2.data, Grid(t2.grid.shape, np.linalg.inv(still) @ t2.grid.affine))
    volumes = {"t1ce": stripped("t1ce"), "t2": in_place, "flair": stripped("flair")}
    found = preprocess(volumes)
    assert found.moved == ("flair",)
    assert raw.error("flair", found.alignments["flair"].matrix) < 1.5
    assert found.volumes["t1ce"] is volumes["t1ce"]
    assert found.volumes["t2"] is in_place
    steps = " ".join(found.steps)
    assert "T2 lies on T1 with contrast by its header" in steps
    assert "skull-stripped already" in steps
    assert dice(found.volumes["flair"].data > 0, true_brain(found.volumes["flair"].grid)) > 0.95


def test_one_series_with_skull_among_stripped_ones_is_stripped_by_their_brain():
    volumes = {"t1ce": stripped("t1ce"), "t2": study().volumes["t2"]}
    found = preprocess(volumes)
    assert found.volumes["t1ce"] is volumes["t1ce"]
    assert "Stripped the skull of T2 with the brain of T1 with contrast" in " ".join(found.steps)
    assert dice(found.volumes["t2"].data > 0, true_brain(found.volumes["t2"].grid)) > 0.95


def test_a_given_brain_is_used_instead_of_a_found_one():
    raw = study()
    found = preprocess({role: raw.volumes[role] for role in ("t1ce", "flair")}, brain=raw.brain)
    assert found.brain is not None
    assert np.array_equal(found.brain.data > 0, true_brain(found.brain.grid))
    assert "the brain mask that was given" in " ".join(found.steps)
    assert "stripping" not in found.seconds
    with rejected("brain mask lies outside", "brain"):
        preprocess(raw.volumes, brain=Volume(np.zeros_like(raw.brain.data), raw.brain.grid))


def test_a_series_that_does_not_fit_is_refused_by_name_unless_it_is_forced():
    raw = study()
    grid = raw.volumes["flair"].grid
    noise = Volume(np.random.default_rng(0).gamma(2.0, 50.0, grid.shape).astype(np.float32), grid)
    volumes = {"t1ce": stripped("t1ce"), "flair": noise}
    with rejected("FLAIR .*does not fit T1 with contrast.*--force", "flair"):
        preprocess(volumes)
    found = preprocess(volumes, force=True)
    assert any("FLAIR does not fit" in warning for warning in found.warnings)


def test_the_brain_is_not_looked_for_in_t2_or_flair_unless_forced():
    raw = study()
    with rejected("T2 and FLAIR show the skull, and there is no T1", "t1ce"):
        preprocess({role: raw.volumes[role] for role in ("t2", "flair")})


def test_a_series_that_covers_a_part_of_the_brain_is_told():
    raw = study()
    flair = raw.volumes["flair"]
    axis = int(np.argmax(flair.grid.spacing))
    half = [slice(None)] * 3
    half[axis] = slice(0, flair.grid.shape[axis] // 2 + 2)
    shape = [part.indices(side)[1] for part, side in zip(half, flair.grid.shape, strict=True)]
    part = Volume(np.ascontiguousarray(flair.data[tuple(half)]), shifted(flair.grid, [0, 0, 0], shape))
    found = preprocess({"t1ce": raw.volumes["t1ce"], "flair": part}, brain=raw.brain)
    assert found.brain is not None
    assert any(warning.startswith("FLAIR covers ") for warning in found.warnings)
    assert np.count_nonzero(found.volumes["flair"].data) < 0.8 * np.count_nonzero(true_brain(found.brain.grid))


@pytest.mark.parametrize("stage", ["registering", "stripping"])
def test_each_stage_reports_progress_and_can_be_stopped(stage):
    seen: list[tuple[float, str]] = []

    class Stopped(Exception):
        pass

    def report(share: float, at: str) -> None:
        seen.append((share, at))
        if at == stage:
            raise Stopped

    with pytest.raises(Stopped):
        preprocess({role: study().volumes[role] for role in ("t1ce", "flair")}, on_progress=report)
    assert all(0 <= share <= 1 for share, _ in seen)
