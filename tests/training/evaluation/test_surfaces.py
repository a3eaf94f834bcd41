import numpy as np
import pytest

from training.evaluation.metrics import surface_dice
from training.evaluation.surfaces import surface_distances

MM = (1.0, 1.0, 1.0)
#: Areas of the surface at an edge and at a corner of a cube, which are cut off half a voxel away.
EDGE, CORNER = np.sqrt(0.5), np.sqrt(3) / 8


def cube(start: int = 5, size: int = 10) -> np.ndarray:
    mask = np.zeros((30, 20, 20), bool)
    mask[start : start + size, 5 : 5 + size, 5 : 5 + size] = True
    return mask


def test_the_surface_of_a_cube_has_the_area_of_its_faces_edges_and_corners():
    areas = surface_distances(cube(), cube(), MM).truth_mm2
    assert areas.sum() == pytest.approx(6 * 9 * 9 + 12 * 9 * EDGE + 8 * CORNER)
    voxel = surface_distances(cube(size=1), cube(), (1.0, 1.0, 3.0)).prediction_mm2
    # Eight triangles between the middles of the sides of eight voxels.
    assert voxel.sum() == pytest.approx(8 * 0.5 * np.linalg.norm(np.cross([0.5, -0.5, 0], [0.5, 0, -1.5])))
    # The hole has the surface of the voxel that fills it, also where voxels touch only at edges.
    for filled in ([(9, 9, 9)], [(9, 9, 9), (10, 10, 9)], [(9, 9, 9), (10, 10, 10)]):
        hole, voxels = cube(), np.zeros_like(cube())
        for at in filled:
            hole[at], voxels[at] = False, True
        inner = surface_distances(hole, voxels, MM)
        assert inner.prediction_mm2.sum() - areas.sum() == pytest.approx(inner.truth_mm2.sum())


def test_surface_dice_is_the_part_of_the_area_within_the_tolerance():
    # Shifted by 3 voxels, the sides coincide but for the ends, of which the rim and the next voxel are near the sides.
    slice_area, rim = 4 * 9 + 4 * EDGE, 4 * 9 * EDGE + 4 * CORNER
    near = 8 * slice_area + rim + 9 * 9 - 7 * 7
    whole = 9 * slice_area + 2 * (9 * 9 + rim)
    assert surface_dice(cube(8), cube(5), MM) == pytest.approx(near / whole)
    assert surface_dice(cube(8), cube(5), MM, tolerance_mm=3.0) == 1.0
    assert surface_dice(cube(6), cube(5), MM) == surface_dice(cube(8), cube(5), (1 / 3, 1.0, 1.0)) == 1.0
    assert surface_dice(cube(6), cube(5), (1.0000001, 1.0, 1.0)) == 1.0
    assert surface_dice(cube(6), cube(5), (1.5, 1.0, 1.0)) < 1.0
    far = np.roll(cube(1, size=3), 20, axis=0)
    assert surface_dice(far, cube(1, size=3), MM) == 0.0


def test_surface_dice_of_empty_masks_is_that_of_the_volumes():
    empty = np.zeros_like(cube())
    assert (surface_dice(empty, empty, MM), surface_dice(cube(), empty, MM), surface_dice(empty, cube(), MM)) == (
        1,
        0,
        0,
    )
    with pytest.raises(ValueError, match="empty mask"):
        surface_distances(cube(), empty, MM)


def test_hd95_is_the_distance_that_95_percent_of_the_area_do_not_exceed():
    for spacing, distance in ((MM, 3.0), ((2.0, 1.0, 1.0), 6.0)):
        assert surface_distances(cube(8), cube(5), spacing).hd95() == pytest.approx(distance)
    spot = cube()
    spot[28, 2, 2] = True  # less than five percent of the surface
    assert surface_distances(spot, cube(), MM).hd95() == 0.0
    large = spot | np.roll(cube(5, size=4), 17, axis=0)
    assert surface_distances(large, cube(), MM).hd95() > 8
    assert surface_distances(cube(), large, MM).hd95() == surface_distances(large, cube(), MM).hd95()
