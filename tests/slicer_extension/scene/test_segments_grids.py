"""Segments that do not lie on the reference volume's grid: what is moved, what is resampled, what is lost."""

import numpy as np
import pytest
from TumorLoopLib.scene import geometry, segments

from tests.slicer_extension.scene import nodes
from tests.slicer_extension.scene.nodes import LABELS, SHAPE, add_transform, back, case, labelmap, moved_by, oblique

pytestmark = pytest.mark.usefixtures("scene")

MOTION = moved_by(5.0, (2.0, 1.0, -1.0))


def shifted(k, j, i):
    """The affine of a grid that begins (k, j, i) voxels after the oblique one."""
    affine = oblique()
    affine[:3, 3] += affine[:3, :3] @ [i, j, k]
    return affine


def centered(affine):
    """The affine moved so that the middles of both grids are at one place."""
    middle = np.array([*(side / 2 for side in SHAPE[::-1]), 1.0])
    affine[:3, 3] += (oblique() @ middle - affine @ middle)[:3]
    return affine


def nearest(array, array_to_world, shape_to_world):
    """Each voxel of a grid takes the nearest one of another grid: the slow and plain way."""
    to_array = np.linalg.inv(array_to_world) @ shape_to_world
    k, j, i = np.indices(SHAPE).reshape(3, -1)
    at = np.floor((to_array[:3, :3] @ [i, j, k]) + to_array[:3, 3:] + 0.5).astype(int)[::-1]
    valid = np.all((at >= 0) & (at < np.array(array.shape)[:, None]), axis=0)
    result = np.zeros(k.size, np.uint8)
    result[valid] = array[tuple(at[:, valid])]
    return result.reshape(SHAPE)


def centers_outside(array, array_to_world, shape_to_world):
    to_shape = np.linalg.inv(shape_to_world) @ array_to_world
    found = np.argwhere(array)[:, ::-1] @ to_shape[:3, :3].T + to_shape[:3, 3]
    return int((~np.all((found >= -0.5) & (found < np.array(SHAPE[::-1]) - 0.5), axis=1)).sum())


@pytest.mark.parametrize("start", [(0, 0, 0), (3, 5, 7), (-3, -5, -7), (-15, 20, 30), (0, 0, 55)])
def test_whole_voxel_shifts_are_moved_exactly_and_what_sticks_out_is_counted(start):
    volume = nodes.make_volume()
    node = segments.add_segmentation(labelmap(), shifted(*start), LABELS, volume, "a")
    expected = nearest(labelmap(), shifted(*start), oblique())
    lost = int(np.count_nonzero(labelmap()) - np.count_nonzero(expected))
    report = back(node, volume)
    assert np.array_equal(report.array, expected)
    assert report.outside_voxels == report.off_grid_voxels == lost
    assert (report.notices, report.empty) == ([], not expected.any())
    outside = [f'{lost} voxels lie outside "T1ce" and are not sent.'] if lost else []
    assert [problem for problem in report.problems if "is empty" not in problem] == outside


def test_a_segment_painted_beyond_the_reference_by_the_editor_is_cut_and_counted():
    volume, node = case()
    painted = nodes.ball(tuple(side + 8 for side in SHAPE), (2, 16, 20), 6)
    wide = nodes.make_volume("wide", painted.astype(np.int16), shifted(-4, -4, -4))
    wide.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    nodes.paint(node, nodes.ED, wide, painted)
    report = back(node, volume)
    inner = painted[4:-4, 4:-4, 4:-4]
    assert np.array_equal(report.array == 2, inner & ~np.isin(labelmap(), (1, 3)))
    assert report.outside_voxels == painted.sum() - inner.sum() > 0
    assert np.array_equal(report.array == 3, labelmap() == 3)


@pytest.mark.parametrize(
    "grid",
    [
        oblique((0.45, 0.65, 1.55)),
        oblique((2.03, 2.07, 3.3)),
        centered(oblique((5.0, 6.1, 9.0), (3.0, 30.0, -20.0))),
        oblique(degrees=(0.0, 0.0, 0.0)),
        oblique(origin=(-31.0, 12.0, 7.5)),
    ],
    ids=["finer", "coarser", "much coarser", "upright", "half a voxel off"],
)
def test_another_grid_is_resampled_by_the_nearest_voxel_and_said(grid):
    volume = nodes.make_volume()
    node = segments.add_segmentation(labelmap(), grid, LABELS, volume, "a")
    report = back(node, volume)
    assert np.array_equal(report.array, nearest(labelmap(), grid, oblique()))
    assert report.array.any()
    assert report.off_grid_voxels == np.count_nonzero(labelmap())
    assert report.outside_voxels == centers_outside(labelmap(), grid, oblique())
    assert report.notices == [
        '"necrotic core", "peritumoral edema", "enhancing tumor": drawn on another grid than "T1ce". '
        "The nearest voxels are sent; borders may move by half a voxel."
    ]


def test_a_segmentation_under_another_transform_is_resampled_to_where_slicer_shows_it():
    volume, node = case(transformed=False)
    add_transform(MOTION, node)
    report = back(node, volume)
    assert np.array_equal(report.array, nearest(labelmap(), MOTION @ oblique(), oblique()))
    assert report.off_grid_voxels == np.count_nonzero(labelmap())
    assert np.allclose(report.ijk_to_ras, oblique())
    own, ours = nodes.mask_of(node, nodes.ED, volume), report.array == 2
    # Slicer rounds the edges of voxels its own way; a wrong direction or order of transforms would leave no overlap
    assert 2 * (own & ours).sum() / (own.sum() + ours.sum()) > 0.95


@pytest.mark.parametrize("change", ["equal transforms", "both hardened", "a rounded matrix", "moved by whole voxels"])
def test_a_segmentation_on_the_grid_of_its_volume_is_not_resampled(change):
    volume, node = case(transformed=change in ("equal transforms", "both hardened"))
    expected = labelmap()
    if change == "equal transforms":
        node.SetAndObserveTransformNodeID(None)
        add_transform(moved_by(), node)
    elif change == "both hardened":
        volume.HardenTransform()
        node.HardenTransform()
        assert np.allclose(nodes.world_of(volume), moved_by() @ oblique(), atol=1e-6)
    elif change == "a rounded matrix":
        volume.SetIJKToRASMatrix(geometry.matrix_of(np.round(oblique(), 5)))
    else:
        add_transform(shifted(0, -2, 1) @ np.linalg.inv(oblique()), node)
        expected = np.zeros_like(expected)
        expected[:, :-2, 1:] = labelmap()[:, 2:, :-1]
    report = back(node, volume)
    assert np.array_equal(report.array, expected)
    assert report.notices == []
