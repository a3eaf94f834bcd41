import numpy as np
import pytest

from tests.training.registration.heads import head, mean_error, motion, scanned
from training.images.grid import Grid, Volume
from training.registration.rigid import register

FIXED = scanned(head("t1"), np.eye(4), (1.5, 1.5, 4.0), tilt=8, noise=6)


def test_a_large_motion_between_thick_slices_of_two_contrasts_is_found():
    true = motion(30, (1, 2, -1), (15, -20, 10))
    moving = scanned(head("t2"), true, (4.0, 1.5, 1.5), tilt=-10)
    found = register(FIXED, moving)
    assert mean_error(found.matrix, true) < 1
    assert found.degrees == pytest.approx(30, abs=1)
    assert found.mm == pytest.approx(np.linalg.norm((15, -20, 10)), abs=2)
    assert found.similarity > found.similarity_before
    assert found.trusted
    assert not found.mirrored
    assert np.allclose(found.matrix[:3, :3] @ found.matrix[:3, :3].T, np.eye(3))


def test_series_without_motion_are_left_in_place_to_a_fraction_of_a_millimeter_and_the_result_is_the_same_each_time():
    moving = scanned(head("t2"), np.eye(4), (1.5, 1.5, 4.0), tilt=8)
    found = register(FIXED, moving)
    assert mean_error(found.matrix, np.eye(4)) < 0.5
    assert found.trusted
    assert np.array_equal(register(FIXED, moving).matrix, found.matrix)


def test_another_head_is_not_trusted():
    assert not register(FIXED, scanned(head("t2", seed=2), np.eye(4), (1.5, 1.5, 4.0))).trusted


def test_a_series_with_left_and_right_exchanged_is_recognized():
    moving = scanned(head("t2"), motion(10, (1, 1, 0), (5, 0, 0)), (2.0, 2.0, 2.0))
    assert register(FIXED, Volume(moving.data[::-1], moving.grid)).mirrored


def test_a_head_that_is_partly_outside_the_image_is_found():
    true = motion(12, (0, 1, 1), (-8, 5, 12))
    whole = scanned(head("t2"), true, (2.0, 2.0, 2.0))
    partial = Volume(whole.data[:, :, 33:], _from_slice(whole.grid, 33))
    assert mean_error(register(FIXED, partial).matrix, true) < 1


def test_a_mask_says_where_to_compare():
    true = motion(10, (1, 0, 1), (5, 5, -5))
    moving = scanned(head("t2"), true, (2.0, 2.0, 2.0))
    moving.data[:, :, -10:] = 150  # outside of the mask, something else
    mask = Volume((head("t1").data > 30).astype(np.uint8), head("t1").grid)
    assert mean_error(register(FIXED, moving, fixed_mask=mask).matrix, true) < 1


@pytest.mark.parametrize("data", [np.zeros((20, 20, 20)), np.ones((1, 1, 1))])
def test_an_image_without_content_is_not_trusted(data):
    assert not register(FIXED, Volume(data.astype(np.float32), Grid(data.shape, np.eye(4)))).trusted


def test_progress_rises_to_one_and_an_error_of_the_callback_stops_the_work():
    shares = []
    moving = scanned(head("t2"), np.eye(4), (3.0, 3.0, 3.0))
    register(FIXED, moving, on_progress=lambda share, stage: shares.append(share))
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1

    def cancel(share, stage):
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        register(FIXED, moving, on_progress=cancel)


def _from_slice(grid, first):
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, 2] * first
    return Grid((grid.shape[0], grid.shape[1], grid.shape[2] - first), affine)
