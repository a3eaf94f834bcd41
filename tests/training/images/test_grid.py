import numpy as np
import pytest

from tests import synthetic
from training.images.grid import Grid, Volume

TILT = (10.0, 5.0, -7.0)
GRID = synthetic.oblique_grid((0.9, 0.9, 5.5), (20, 24, 8), degrees=TILT)


def moved(distance):
    affine = GRID.affine.copy()
    affine[0, 3] += distance
    return Grid(GRID.shape, affine)


def test_grids_know_their_voxels_match_within_a_tolerance_and_say_how_they_differ():
    assert GRID.matches(moved(5e-3))
    assert not GRID.matches(moved(1.0))
    assert GRID.difference(GRID) == ""
    wider = synthetic.oblique_grid((1.0, 0.9, 5.5), GRID.shape, degrees=TILT)
    for other, words in (
        (moved(1.0), "corner voxels lie up to 1.0"),
        (Grid((20, 24, 9), GRID.affine), "20 x 24 x 8 against 20 x 24 x 9"),
        (synthetic.oblique_grid((0.9, 0.9, 5.5), GRID.shape, axcodes="RAS"), "LAS against RAS"),
        (wider, "0.9 x 0.9 x 5.5 mm against 1 x 0.9 x 5.5 mm"),
    ):
        assert words in GRID.difference(other)
    assert (GRID.axcodes, GRID.spacing) == ("LAS", pytest.approx((0.9, 0.9, 5.5)))
    assert GRID.voxel_ml == pytest.approx(0.9 * 0.9 * 5.5 / 1000)
    with pytest.raises(ValueError, match="differ in shape"):
        Volume(np.zeros((2, 2, 2)), GRID)
