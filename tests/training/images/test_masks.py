import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from training.images.masks import bounding_box, dice, large_components, near


def test_dice_agrees_with_simpleitk_and_is_1_for_empty_masks():
    rng = np.random.default_rng(0)
    one, other = rng.random((12, 13, 14)) > 0.6, rng.random((12, 13, 14)) > 0.5
    measure = sitk.LabelOverlapMeasuresImageFilter()
    measure.Execute(sitk.GetImageFromArray(one.astype(np.uint8)), sitk.GetImageFromArray(other.astype(np.uint8)))
    assert dice(one, other) == pytest.approx(measure.GetDiceCoefficient(1))
    assert dice(5 * one, 2 * other) == dice(one, other)
    empty = np.zeros((4, 4, 4), bool)
    assert [dice(empty, empty), dice(~empty, ~empty), dice(empty, ~empty)] == [1.0, 1.0, 0.0]


def test_a_bounding_box_holds_all_voxels_and_components_below_the_minimum_are_dropped_but_never_the_largest():
    mask = np.zeros((6, 7, 8), bool)
    assert bounding_box(mask) is None
    mask[2, 3, 4] = mask[4, 3, 6] = True
    assert bounding_box(mask) == (slice(2, 5), slice(3, 4), slice(4, 7))
    assert bounding_box(mask, 3) == (slice(0, 6), slice(0, 7), slice(1, 8))
    assert bounding_box(mask, (0, 1, 2)) == (slice(2, 5), slice(2, 5), slice(2, 8))
    mask = np.zeros((20, 20, 20), bool)
    mask[:5, :5, :5] = True  # 125 voxels
    mask[10:14, 10:14, 10:14] = True  # 64 voxels
    mask[18, 18, 18] = True
    assert large_components(mask, 60).sum() == 189
    assert large_components(mask, 0.1, voxel_size=0.001).sum() == 125
    assert large_components(mask, 5000).sum() == 125
    mask[12:17, :5, :5] = True  # a second component as large as the largest
    assert large_components(mask, 5000).sum() == 125


@pytest.mark.parametrize("radius", [0, 0.5, 1, 2.5, 6, 6.3, 15])
@pytest.mark.parametrize("density", [0.3, 0.001])
def test_what_is_near_a_mask_is_what_a_distance_transform_finds(radius, density):
    mask = np.random.default_rng(0).random((9, 40, 33)) < density
    assert np.array_equal(near(mask, radius), ndimage.distance_transform_edt(~mask) <= radius)


def test_nothing_is_near_an_empty_mask_and_a_radius_that_a_byte_cannot_hold_is_refused():
    assert not near(np.zeros((5, 6, 7), bool), 15).any()
    with pytest.raises(ValueError, match="0 to 15"):
        near(np.ones((5, 6, 7), bool), 16)
