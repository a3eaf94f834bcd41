from functools import lru_cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.training import rejected
from training.images.grid import Grid, Volume
from training.images.masks import dice
from training.images.resample import resample_linear, resample_mask
from training.phantoms.raw import RawStudy, raw_study
from training.skull_stripping.check import check_brain
from training.skull_stripping.extract import brain_mask


@lru_cache(maxsize=2)
def study(seed: int = 4) -> RawStudy:
    return raw_study(seed, small=True)


# In heads of 2 mm voxels, the fluid around the brain is a voxel wide and counts as brain: Dice 0.93, at 1 mm 0.97.


def test_the_brain_of_a_raw_head_is_found_with_its_tumor_inside_and_is_plausible():
    head = study().volumes["t1ce"]
    shares: list[float] = []
    mask = brain_mask(head, on_progress=shares.append)
    assert mask.grid == head.grid
    assert mask.data.dtype == np.uint8
    assert dice(mask.data, study().brain.data) > 0.92
    tumor = study().label.data > 0
    assert np.mean(mask.data[tumor]) > 0.99
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert check_brain(mask, head) == ()


def test_a_head_that_its_file_turns_upside_down_is_told():
    head = study().volumes["t1ce"]
    turned = Volume(head.data, Grid(head.grid.shape, np.diag([1.0, -1.0, -1.0, 1.0]) @ head.grid.affine))
    assert any("upside down" in problem for problem in check_brain(brain_mask(turned), turned))


def test_the_brain_of_a_head_tilted_by_35_degrees_is_found_on_axes_in_any_order():
    head, brain = study(1).volumes["t1ce"], study(1).brain
    middle = np.argwhere(brain.data).mean(axis=0)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("x", 35, degrees=True).as_matrix()
    to_ras = head.grid.affine[:3, :3] / head.grid.spacing
    turn[:3, :3] = np.linalg.inv(to_ras) @ turn[:3, :3] @ to_ras
    turn[:3, 3] = middle - turn[:3, :3] @ middle
    data = resample_linear(head.data, turn, head.grid.shape)
    truth = resample_mask(brain.data > 0, turn, head.grid.shape)
    order, flip = (2, 0, 1), np.eye(4)
    flip[:3, :3] = np.eye(3)[:, order]
    flipped = np.ascontiguousarray(data.transpose(order))
    x, y, z = flipped.shape
    mask = brain_mask(Volume(flipped, Grid((x, y, z), head.grid.affine @ flip)))
    assert dice(mask.data, truth.transpose(order)) > 0.95


def test_an_image_of_one_value_is_refused():
    with rejected("one value nearly everywhere", "image"):
        brain_mask(Volume(np.full((64, 64, 64), 7, np.float32), Grid((64, 64, 64), np.diag([3.0, 3.0, 3.0, 1.0]))))


def test_the_work_stops_when_the_caller_says_so():
    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        brain_mask(study().volumes["t1ce"], on_progress=stop)
