import itertools

import numpy as np
import pytest

from training.images.resample import (
    bounding_box,
    copy_voxels,
    resample_labels,
    resample_linear,
    resample_mask,
    whole_voxels,
)

ORDERS = list(itertools.permutations(range(3)))
FLIPS = list(itertools.product([1, -1], repeat=3))


def turn(order, flips, shape):
    """Output index to input index of an array of ``shape`` whose axes are permuted and flipped."""
    matrix = np.eye(4)[[*order, 3]].T
    for axis, flip in enumerate(flips):
        if flip < 0:
            matrix[order[axis], axis] = -1
            matrix[order[axis], 3] = shape[order[axis]] - 1
    return matrix


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("flips", FLIPS)
def test_turned_arrays_are_copied_as_numpy_turns_them(order, flips):
    array = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    expected = array.transpose(order)[tuple(slice(None, None, flip) for flip in flips)]
    shape = (expected.shape[0], expected.shape[1], expected.shape[2])
    whole = whole_voxels(turn(order, flips, array.shape), shape)
    assert whole is not None
    assert np.array_equal(copy_voxels(array, whole, shape), expected)


def test_cropping_and_padding_are_shifts():
    array = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    shift = np.eye(4, dtype=np.int64)
    shift[:3, 3] = [1, -1, 0]
    result = copy_voxels(array, shift, (2, 5, 3), fill=99)
    assert np.array_equal(result[:, 1:4], array[1:])
    assert np.all(result[:, [0, 4]] == 99)


def test_arrays_that_do_not_meet_leave_only_the_fill():
    shift = np.eye(4, dtype=np.int64)
    shift[0, 3] = 10
    assert np.all(copy_voxels(np.ones((3, 3, 3)), shift, (3, 3, 3), fill=7) == 7)


def test_half_a_voxel_is_no_whole_shift():
    shift = np.eye(4)
    shift[0, 3] = 0.5
    assert whole_voxels(shift, (4, 4, 4)) is None


def ramp(shape):
    x, y, z = np.indices(shape)
    return (2.0 * x + 3.0 * y - 1.5 * z + 10.0).astype(np.float32)


def test_linear_interpolation_is_exact_on_a_ramp():
    to_input = np.eye(4)
    to_input[:3, :3] = np.array([[0.9, 0.1, 0.0], [-0.1, 0.95, 0.05], [0.0, -0.05, 0.9]])
    to_input[:3, 3] = [0.4, 2.2, 1.1]
    result = resample_linear(ramp((20, 20, 20)), to_input, (16, 14, 15), fill=np.nan)
    x, y, z = np.indices((16, 14, 15))
    at = np.stack([x, y, z], axis=-1) @ to_input[:3, :3].T + to_input[:3, 3]
    expected = at @ [2.0, 3.0, -1.5] + 10.0
    assert not np.isnan(result).any()
    assert np.allclose(result, expected, atol=1e-3)


def test_a_coarser_grid_averages_and_keeps_the_place():
    to_input = np.diag([2.0, 2.0, 1.0, 1.0])
    to_input[:3, 3] = [0.5, 0.5, 0.0]  # the first coarse voxel covers the fine voxels 0 and 1
    fine = ramp((12, 12, 6)) + np.indices((12, 12, 6)).sum(axis=0) % 2 * 100.0
    result = resample_linear(fine, to_input, (6, 6, 6))
    blocks = fine.reshape(6, 2, 6, 2, 6).mean(axis=(1, 3))
    assert np.allclose(result, blocks, atol=1e-3)


def test_masks_keep_their_place_and_volume():
    mask = np.zeros((20, 20, 20), bool)
    mask[5:15, 6:14, 4:16] = True
    to_input = np.diag([0.5, 0.5, 0.5, 1.0])
    to_input[:3, 3] = -0.25
    finer = resample_mask(mask, to_input, (40, 40, 40))
    assert finer.sum() == mask.sum() * 8 - 8  # the eight corners are rounded off
    assert np.array_equal(np.argwhere(finer).mean(axis=0), np.argwhere(mask).mean(axis=0) * 2 + 0.5)


def test_labels_never_take_a_value_between_two_labels():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4:16, 4:16, 4:16] = 1
    labels[8:12, 8:12, 8:12] = 3
    to_input = np.eye(4)
    to_input[:3, 3] = [0.3, -0.4, 0.45]
    moved = resample_labels(labels, to_input, (20, 20, 20))
    assert set(np.unique(moved)) == {0, 1, 3}
    assert moved[10, 10, 10] == 3


def test_labels_outside_the_output_leave_it_empty():
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[0, 0, 0] = 2
    to_input = np.eye(4)
    to_input[:3, 3] = 5.5
    assert not resample_labels(labels, to_input, (4, 4, 4)).any()
    assert not resample_labels(np.zeros_like(labels), to_input, (4, 4, 4)).any()


def test_the_bounding_box_holds_all_and_is_none_for_nothing():
    mask = np.zeros((6, 7, 8), bool)
    assert bounding_box(mask) is None
    mask[2, 3, 4] = mask[4, 3, 6] = True
    assert bounding_box(mask) == (slice(2, 5), slice(3, 4), slice(4, 7))
