import numpy as np
import pytest

from tests import synthetic
from training.preparation.brain import fill_holes, find_tissue, overlap, without_debris

GRID = synthetic.brats_grid()


@pytest.fixture
def scan():
    return synthetic.head(GRID, "t1").data.astype(np.float32)


@pytest.fixture
def brain():
    return synthetic.brain(GRID)


def test_negative_voxels_inside_the_brain_belong_to_it(scan, brain):
    assert (scan[brain] < 0).any()
    tissue = find_tissue(scan)
    assert tissue.background == 0.0
    assert np.array_equal(tissue.mask, brain)


@pytest.mark.parametrize("background", [-3.7, 12.0, 5000.0])
def test_the_background_is_what_the_borders_are_made_of(scan, brain, background):
    scan[~brain] = background
    tissue = find_tissue(scan)
    assert tissue.background == pytest.approx(background)
    assert overlap(tissue.mask, brain) > 0.999


def test_a_brain_that_touches_the_borders_is_still_found(scan, brain):
    cut = (slice(10, 50), slice(8, 60), slice(12, 50))
    assert np.array_equal(find_tissue(scan[cut]).mask, brain[cut])


def test_a_head_in_noise_is_told_from_air_and_known_as_not_stripped(scan, brain):
    noise = np.random.default_rng(0).normal(20.0, 5.0, scan.shape).astype(np.float32)
    tissue = find_tissue(np.where(brain, np.abs(scan) + 100.0, noise))
    assert tissue.background is None
    assert overlap(tissue.mask, brain) > 0.99


def test_holes_are_filled_but_not_the_outside(brain):
    holed = brain.copy()
    holed[30:34, 34:38, 28:32] = False
    assert np.array_equal(fill_holes(holed), brain)


def test_debris_is_dropped_and_a_piece_of_a_milliliter_is_kept(brain):
    dirty = brain.copy()
    dirty[0, 0, 0] = True
    assert np.array_equal(without_debris(dirty, GRID.voxel_ml), brain)
    dirty[:12, :12, :12] = True
    assert without_debris(dirty, GRID.voxel_ml)[:12, :12, :12].all()


def test_the_largest_piece_is_kept_however_small():
    mask = np.zeros((8, 8, 8), bool)
    mask[1, 1, 1:3] = mask[5, 5, 5] = True
    assert without_debris(mask, 0.001).sum() == 2
