import numpy as np

from training.images.grid import Grid, Volume, transform_points
from training.registration.levels import coarsened


def test_thin_axes_are_averaged_and_thick_slices_kept():
    affine = np.diag([0.5, 0.5, 6.0, 1.0])
    data = np.arange(40 * 40 * 5, dtype=np.float32).reshape(40, 40, 5)
    coarse = coarsened(Volume(data, Grid((40, 40, 5), affine)), 2.0)
    assert coarse.data.shape == (10, 10, 5)
    assert np.allclose(coarse.grid.spacing, (2, 2, 6))
    assert np.allclose(coarse.data, data.reshape(10, 4, 10, 4, 5).mean((1, 3)), rtol=1e-5)


def test_the_center_stays_where_it_is_on_an_oblique_sheared_grid():
    affine = np.array([[0.8, 0.1, 0.5, 3], [-0.1, 0.9, 0.2, 4], [0, 0.2, 3, 5], [0, 0, 0, 1.0]])
    grid = Grid((31, 37, 11), affine)
    coarse = coarsened(Volume(np.zeros(grid.shape, np.int16), grid), 2.5, blur_mm=2.0)
    before, after = (transform_points(each.affine, (np.array(each.shape) - 1) / 2) for each in (grid, coarse.grid))
    assert np.allclose(before, after)
    assert coarse.data.dtype == np.float32
