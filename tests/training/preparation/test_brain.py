import numpy as np
import pytest

from tests import synthetic
from training.images.masks import dice
from training.preparation.brain import fill_holes, find_tissue

GRID = synthetic.brats_grid()


BRAIN = synthetic.brain(GRID)
SCAN = synthetic.head(GRID, "t1").data.astype(np.float32)


@pytest.mark.parametrize("background", [0.0, -3.7, 12.0, 5000.0])
def test_the_background_is_the_value_of_the_borders_and_negative_voxels_belong_to_the_brain(background):
    assert (SCAN[BRAIN] < 0).any()
    tissue = find_tissue(np.where(BRAIN, SCAN, np.float32(background)))
    assert tissue.background == pytest.approx(background)
    assert dice(tissue.mask, BRAIN) > (0.999 if background else 0.9999999)
    cut = (slice(10, 50), slice(8, 60), slice(12, 50))  # the brain touches the borders
    assert np.array_equal(find_tissue(SCAN[cut]).mask, BRAIN[cut])


def test_noise_around_the_head_marks_the_scan_as_not_skull_stripped_and_holes_are_filled():
    noise = np.random.default_rng(0).normal(20.0, 5.0, SCAN.shape).astype(np.float32)
    tissue = find_tissue(np.where(BRAIN, np.abs(SCAN) + 100.0, noise))
    assert tissue.background is None
    assert dice(tissue.mask, BRAIN) > 0.99
    holed = BRAIN.copy()
    holed[30:34, 34:38, 28:32] = False
    assert np.array_equal(fill_holes(holed), BRAIN)
