import numpy as np
import pytest
from TumorLoopLib.scene.bounding_box import EMPTY_BOX, bounding_box
from TumorLoopLib.scene.comparison import compare, volumes_ml

from tests.slicer_extension.scene.nodes import LABELS, SHAPE, labelmap, oblique

#: One voxel is 0.9 x 1.3 x 3.1 mm.
VOXEL_ML = 0.9 * 1.3 * 3.1 / 1000


def test_volumes_count_voxels_of_labels_and_regions():
    array = labelmap()
    found = volumes_ml(array, oblique(), LABELS)
    assert set(found) == {"NCR", "ED", "ET", "WT", "TC"}
    assert found["ED"] == pytest.approx((array == 2).sum() * VOXEL_ML)
    assert found["TC"] == pytest.approx(((array == 1) | (array == 3)).sum() * VOXEL_ML)
    assert found["WT"] == pytest.approx((array > 0).sum() * VOXEL_ML)


def test_an_empty_labelmap_has_no_volume():
    assert volumes_ml(np.zeros(SHAPE, np.uint8), oblique(), LABELS) == dict.fromkeys(
        ("NCR", "ED", "ET", "WT", "TC"), 0.0
    )


def test_nothing_changed_is_nothing_added_and_a_dice_of_one():
    found = compare(labelmap(), labelmap(), oblique(), LABELS)
    assert set(found.added_ml.values()) == set(found.removed_ml.values()) == {0.0}
    assert found.dice == {"WT": 1.0, "TC": 1.0, "ET": 1.0}
    assert found.changed_voxels == 0


def test_what_moves_from_edema_to_enhancing_tumor_leaves_the_whole_tumor_as_it_is():
    answer, edited = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    answer[2:6, 3:9, 4:14] = 2
    edited[2:6, 3:9, 4:14] = 2
    edited[2:4, 3:9, 4:14] = 3
    found = compare(answer, edited, oblique(), LABELS)
    moved = pytest.approx(2 * 6 * 10 * VOXEL_ML)
    assert found.added_ml == {"NCR": 0.0, "ED": 0.0, "ET": moved, "WT": 0.0, "TC": moved}
    assert found.removed_ml == {"NCR": 0.0, "ED": moved, "ET": 0.0, "WT": 0.0, "TC": 0.0}
    assert found.dice == {"WT": 1.0, "TC": 0.0, "ET": 0.0}
    assert found.changed_voxels == 120


def test_added_and_removed_are_not_netted():
    answer, edited = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    answer[0, 0, 0:3] = 1
    edited[-1, -1, -5:] = 1
    found = compare(answer, edited, oblique(), LABELS)
    assert found.added_ml["WT"] == pytest.approx(5 * VOXEL_ML)
    assert found.removed_ml["WT"] == pytest.approx(3 * VOXEL_ML)
    assert found.dice["WT"] == 0.0


def test_two_empty_labelmaps_agree():
    empty = np.zeros(SHAPE, np.uint8)
    assert compare(empty, empty, oblique(), LABELS).dice == {"WT": 1.0, "TC": 1.0, "ET": 1.0}


def test_an_answer_of_another_type_counts_the_same():
    edited = labelmap(seed=1)
    assert compare(labelmap().astype(np.int16), edited, oblique(), LABELS) == compare(
        labelmap(), edited, oblique(), LABELS
    )


def test_labelmaps_of_other_grids_are_not_compared():
    with pytest.raises(ValueError, match="cannot be compared"):
        compare(labelmap(), labelmap()[:-1], oblique(), LABELS)


def test_the_box_of_one_voxel_is_that_voxel():
    array = np.zeros(SHAPE, bool)
    array[-1, 0, 7] = True
    assert bounding_box(array) == (slice(19, 20), slice(0, 1), slice(7, 8))
    assert bounding_box(np.zeros(SHAPE)) == EMPTY_BOX
