import numpy as np
import pytest
from TumorLoopLib.scene.bounding_box import EMPTY_BOX, bounding_box
from TumorLoopLib.scene.comparison import compare, volumes_ml

from tests.slicer_extension.scene.nodes import LABELS, SHAPE, labelmap, oblique

#: One voxel is 0.9 x 1.3 x 3.1 mm.
VOXEL_ML = 0.9 * 1.3 * 3.1 / 1000
EMPTY = np.zeros(SHAPE, np.uint8)


def with_values(*values):
    array = EMPTY.copy()
    for value, box in values:
        array[box] = value
    return array


def test_volumes_count_voxels_of_labels_and_regions():
    array = labelmap()
    voxels = {"NCR": [1], "ED": [2], "ET": [3], "WT": [1, 2, 3], "TC": [1, 3]}
    expected = {key: np.isin(array, values).sum() * VOXEL_ML for key, values in voxels.items()}
    assert volumes_ml(array, oblique(), LABELS) == pytest.approx(expected)
    assert volumes_ml(EMPTY, oblique(), LABELS) == dict.fromkeys(voxels, 0.0)


def test_what_moves_from_edema_to_enhancing_tumor_leaves_the_whole_tumor_as_it_is():
    whole, part = np.s_[2:6, 3:9, 4:14], np.s_[2:4, 3:9, 4:14]
    found = compare(with_values((2, whole)), with_values((2, whole), (3, part)), oblique(), LABELS)
    moved = pytest.approx(2 * 6 * 10 * VOXEL_ML)
    assert found.added_ml == {"NCR": 0.0, "ED": 0.0, "ET": moved, "WT": 0.0, "TC": moved}
    assert found.removed_ml == {"NCR": 0.0, "ED": moved, "ET": 0.0, "WT": 0.0, "TC": 0.0}
    assert (found.dice, found.changed_voxels) == ({"WT": 1.0, "TC": 0.0, "ET": 0.0}, 120)


def test_added_and_removed_are_not_netted():
    found = compare(with_values((1, np.s_[0, 0, 0:3])), with_values((1, np.s_[-1, -1, -5:])), oblique(), LABELS)
    assert found.added_ml["WT"] == pytest.approx(5 * VOXEL_ML)
    assert found.removed_ml["WT"] == pytest.approx(3 * VOXEL_ML)
    assert found.dice["WT"] == 0.0


def test_nothing_changed_is_nothing_added_also_in_another_type_but_another_grid_is_refused():
    for array in (labelmap(), EMPTY):
        found = compare(array.astype(np.int16), array, oblique(), LABELS)
        assert set(found.added_ml.values()) == set(found.removed_ml.values()) == {0.0}
        assert (found.dice, found.changed_voxels) == ({"WT": 1.0, "TC": 1.0, "ET": 1.0}, 0)
        assert found == compare(array, array, oblique(), LABELS)
    with pytest.raises(ValueError, match="cannot be compared"):
        compare(labelmap(), labelmap()[:-1], oblique(), LABELS)


def test_the_box_of_one_voxel_is_that_voxel():
    assert bounding_box(with_values((1, np.s_[-1, 0, 7])) > 0) == (slice(19, 20), slice(0, 1), slice(7, 8))
    assert bounding_box(EMPTY) == EMPTY_BOX
