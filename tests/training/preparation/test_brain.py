import numpy as np
import pytest

from tests import synthetic
from training.images.masks import dice
from training.preparation.brain import fill_holes, find_tissue

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
def test_the_background_is_the_value_of_the_borders(scan, brain, background):
    scan[~brain] = background
    tissue = find_tissue(scan)
    assert tissue.background == pytest.approx(background)
    assert dice(tissue.mask, brain) > 0.999


def test_a_brain_that_touches_the_borders_is_still_found(scan, brain):
    cut = (slice(10, 50), slice(8, 60), slice(12, 50))
    assert np.array_equal(find_tissue(scan[cut]).mask, brain[cut])


def test_noise_around_the_head_is_separated_from_it_and_marks_the_scan_as_not_skull_stripped(scan, brain):
    noise = np.random.default_rng(0).normal(20.0, 5.0, scan.shape).astype(np.float32)
    tissue = find_tissue(np.where(brain, np.abs(scan) + 100.0, noise))
    assert tissue.background is None
    assert dice(tissue.mask, brain) > 0.99


def test_holes_are_filled_but_not_the_outside(brain):
    holed = brain.copy()
    holed[30:34, 34:38, 28:32] = False
    assert np.array_equal(fill_holes(holed), brain)
