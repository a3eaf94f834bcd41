import numpy as np
import pytest

from tests.training.registration.heads import head, motion
from training.registration.head import find_head
from training.registration.similarity import Comparison


@pytest.fixture(scope="module")
def compared():
    fixed, moving = head("t1"), head("t2")
    return Comparison(fixed, moving, (find_head(fixed), find_head(moving)), points=5000)


def test_similarity_is_largest_in_place_and_falls_with_the_distance(compared):
    shifts = [compared.similarity(motion(0, (1, 0, 0), (mm, 0, 0))) for mm in (0, 3, 10)]
    turns = [compared.similarity(motion(degrees, (0, 1, 0), (0, 0, 0))) for degrees in (0, 3, 10)]
    assert shifts == sorted(shifts, reverse=True)
    assert turns == sorted(turns, reverse=True)
    assert 1 < shifts[2] < shifts[0] <= 2


def test_volumes_that_hardly_overlap_have_no_similarity(compared):
    assert compared.similarity(motion(0, (1, 0, 0), (130, 0, 0))) == 1


def test_a_small_change_of_the_position_changes_the_similarity_by_little(compared):
    values = [compared.similarity(motion(0, (1, 0, 0), (mm, 0, 0))) for mm in np.arange(1, 1.5, 0.05)]
    assert np.abs(np.diff(values)).max() < 0.1 * (values[0] - 1)
