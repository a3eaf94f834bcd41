import numpy as np

from tests.training.registration.heads import CENTER, head
from training.images.grid import Grid, Volume
from training.registration.head import find_head


def test_the_head_is_found_with_the_air_around_it_whatever_the_value_of_the_background():
    volume = head("t1")
    for shifted in (volume, Volume(volume.data - 500, volume.grid)):
        found = find_head(shifted)
        assert np.linalg.norm(found.center - CENTER) < 3
        assert 0.3 < found.region.data.mean() < 0.95


def test_a_mask_replaces_the_head():
    grid = Grid((40, 40, 40), np.diag([2.0, 2.0, 2.0, 1.0]))
    mask = np.zeros(grid.shape, np.uint8)
    mask[:8, :8, :8] = 1
    found = find_head(head("t1"), Volume(mask, grid))
    assert np.linalg.norm(found.center - 7) < 3


def test_a_mask_that_lies_elsewhere_is_ignored():
    far = Grid((4, 4, 4), np.array([[1, 0, 0, 900], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    assert find_head(head("t1"), Volume(np.ones((4, 4, 4), np.uint8), far)).region.data.all()
