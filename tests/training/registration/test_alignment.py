import numpy as np
import pytest

from tests.training.registration.heads import head, motion
from training.images.grid import transform_points
from training.registration.alignment import Alignment, move


def alignment(**changed):
    values = {
        "matrix": np.eye(4),
        "similarity": 1.2,
        "similarity_before": 1.1,
        "similarity_mirrored": 1.1,
        "sharpness": 0.4,
    }
    return Alignment(**{**values, "degrees": 0.0, "mm": 0.0, "seconds": 0.0, **changed})


def test_a_moved_volume_lies_where_the_fixed_one_has_the_same_anatomy():
    matrix = motion(20, (1, 1, 0), (3, -4, 5))
    volume = head("t2")
    moved = move(volume, alignment(matrix=matrix))
    voxel = np.array([10, 20, 30])
    assert np.allclose(
        transform_points(matrix, transform_points(moved.grid.affine, voxel)),
        transform_points(volume.grid.affine, voxel),
    )
    assert moved.data is volume.data


@pytest.mark.parametrize("changed", [{"similarity": 1.005}, {"sharpness": 0.05}, {"degrees": 180.0}])
def test_an_alignment_is_trusted_unless_it_is_dissimilar_or_blurred_or_upside_down(changed):
    assert alignment().trusted
    assert not alignment(**changed).trusted
