import itertools

import numpy as np

from training.images.resample import copy_voxels, resample_labels, resample_linear, resample_mask, whole_voxels


def shift(x=0.0, y=0.0, z=0.0, scale=(1.0, 1.0, 1.0)):
    matrix = np.diag([*scale, 1.0])
    matrix[:3, 3] = x, y, z
    return matrix


def reorient(order, flips, shape):
    """Output index to input index of an array of ``shape`` whose axes are permuted and flipped."""
    matrix = np.eye(4)[[*order, 3]].T
    for axis, flip in enumerate(flips):
        if flip < 0:
            matrix[order[axis], axis] = -1
            matrix[order[axis], 3] = shape[order[axis]] - 1
    return matrix


def test_permuted_flipped_cropped_and_padded_arrays_are_copied_exactly():
    array = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    for order, flips in itertools.product(itertools.permutations(range(3)), itertools.product([1, -1], repeat=3)):
        expected = array.transpose(order)[tuple(slice(None, None, flip) for flip in flips)]
        shape = (expected.shape[0], expected.shape[1], expected.shape[2])
        whole = whole_voxels(reorient(order, flips, array.shape), shape)
        assert whole is not None
        assert np.array_equal(copy_voxels(array, whole, shape), expected), (order, flips)
    assert whole_voxels(shift(0.5), (4, 4, 4)) is None
    array = np.arange(27, dtype=np.int16).reshape(3, 3, 3)
    result = copy_voxels(array, shift(1, -1, 0).astype(np.int64), (2, 5, 3), fill=99)
    assert np.array_equal(result[:, 1:4], array[1:])
    assert np.all(result[:, [0, 4]] == 99)
    assert np.all(copy_voxels(array, shift(10).astype(np.int64), (3, 3, 3), fill=7) == 7)


def ramp(shape):
    x, y, z = np.indices(shape)
    return (2.0 * x + 3.0 * y - 1.5 * z + 10.0).astype(np.float32)


def test_linear_interpolation_is_exact_coarser_grids_average_in_place_and_labels_are_never_mixed():
    to_input = shift(0.4, 2.2, 1.1)
    to_input[:3, :3] = np.array([[0.9, 0.1, 0.0], [-0.1, 0.95, 0.05], [0.0, -0.05, 0.9]])
    result = resample_linear(ramp((20, 20, 20)), to_input, (16, 14, 15), fill=np.nan)
    at = np.moveaxis(np.indices((16, 14, 15)), 0, -1) @ to_input[:3, :3].T + to_input[:3, 3]
    assert not np.isnan(result).any()
    assert resample_linear(ramp((4, 4, 4)), shift(0.5), (1, 1, 3)).flags.owndata  # no view of a freed image
    assert np.allclose(result, at @ [2.0, 3.0, -1.5] + 10.0, atol=1e-3)
    to_input = shift(0.5, 0.5, 0.0, scale=(2.0, 2.0, 1.0))  # the first coarse voxel covers the fine voxels 0 and 1
    fine = ramp((12, 12, 6)) + np.indices((12, 12, 6)).sum(axis=0) % 2 * 100.0
    blocks = fine.reshape(6, 2, 6, 2, 6).mean(axis=(1, 3))
    assert np.allclose(resample_linear(fine, to_input, (6, 6, 6)), blocks, atol=1e-3)
    mask = np.zeros((20, 20, 20), bool)
    mask[5:15, 6:14, 4:16] = True
    finer = resample_mask(mask, shift(-0.25, -0.25, -0.25, scale=(0.5, 0.5, 0.5)), (40, 40, 40))
    assert finer.sum() == mask.sum() * 8 - 8  # the eight corners are rounded off
    assert np.array_equal(np.argwhere(finer).mean(axis=0), np.argwhere(mask).mean(axis=0) * 2 + 0.5)
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4:16, 4:16, 4:16] = 1
    labels[8:12, 8:12, 8:12] = 3
    moved = resample_labels(labels, shift(0.3, -0.4, 0.45), (20, 20, 20))
    assert (set(np.unique(moved)), moved[10, 10, 10]) == ({0, 1, 3}, 3)
    assert not resample_labels(labels, shift(16.5, 16.5, 16.5), (4, 4, 4)).any()
    assert not resample_labels(np.zeros_like(labels), shift(0.3), (4, 4, 4)).any()
