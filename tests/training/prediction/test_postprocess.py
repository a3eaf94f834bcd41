"""What the network's answer goes through before anybody sees it."""

from __future__ import annotations

import numpy as np

from training.labels import ED, ET, NCR
from training.prediction.postprocess import (
    MIN_CORE_ML,
    MIN_CORELESS_ML,
    MIN_ENHANCING_ML,
    MIN_LESION_ML,
    MIN_PROBABILITY,
    clean,
    decide,
)


def labelmap() -> np.ndarray:
    """A lesion of 8 mL with a 1 mL enhancing part, on 1 mm voxels."""
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[5:25, 5:25, 5:25] = ED.value
    labels[10:20, 10:20, 10:20] = ET.value
    return labels


def test_a_lesion_is_left_as_it_is() -> None:
    labels = labelmap()
    assert np.array_equal(clean(labels, voxel_ml=0.001), labels)


def test_a_speck_apart_from_the_lesion_is_dropped_and_the_input_is_left_alone() -> None:
    labels = labelmap()
    labels[30:33, 30:33, 30:33] = ED.value
    before = labels.copy()
    assert np.array_equal(clean(labels, voxel_ml=0.001), labelmap())
    assert np.array_equal(labels, before)


def test_voxels_that_touch_by_a_corner_belong_to_the_lesion() -> None:
    labels = labelmap()
    labels[25, 25, 25] = ED.value
    assert np.array_equal(clean(labels, voxel_ml=0.001), labels)


def test_a_second_lesion_of_sufficient_size_with_a_core_is_kept() -> None:
    labels = labelmap()
    labels[27:38, 27:38, 27:38] = ED.value  # 1.331 mL
    labels[30:35, 30:35, 30:35] = NCR.value  # 0.125 mL
    assert MIN_LESION_ML < 1.331
    assert MIN_CORE_ML < 0.125
    assert np.array_equal(clean(labels, voxel_ml=0.001), labels)


def test_a_lesion_without_a_core_is_dropped_beside_a_tumor_and_alone() -> None:
    labels = labelmap()
    labels[27:38, 27:38, 27:38] = ED.value
    assert np.array_equal(clean(labels, voxel_ml=0.001), labelmap())
    labels[labelmap() > 0] = 0
    assert not clean(labels, voxel_ml=0.001).any()


def test_a_few_voxels_of_core_do_not_make_a_tumor_of_a_bright_spot() -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[2:16, 2:16, 2:16] = ED.value  # 2.744 mL
    labels[5:9, 5:9, 5:9] = NCR.value  # 0.064 mL
    assert MIN_CORE_ML > 0.064
    assert MIN_CORELESS_ML > 2.744
    assert not clean(labels, voxel_ml=0.001).any()


def test_a_large_lesion_is_kept_even_if_its_core_was_missed() -> None:
    labels = np.zeros((30, 30, 30), np.uint8)
    labels[3:26, 3:26, 3:26] = ED.value  # 12.167 mL
    assert MIN_CORELESS_ML < 12.167
    assert np.array_equal(clean(labels, voxel_ml=0.001), labels)


def test_enhancing_tumor_too_small_to_be_meant_becomes_core() -> None:
    labels = np.where(labelmap() == ET.value, NCR.value, labelmap()).astype(np.uint8)
    labels[12:15, 12:15, 12:15] = ET.value  # 0.027 mL
    assert MIN_ENHANCING_ML > 0.027
    cleaned = clean(labels, voxel_ml=0.001)
    assert not (cleaned == ET.value).any()
    assert (cleaned[12:15, 12:15, 12:15] == NCR.value).all()


def test_what_a_broken_rim_surrounds_is_core_and_what_surrounds_the_rim_stays_edema() -> None:
    labels = np.zeros((60, 60, 60), np.uint8)
    x, y, z = np.meshgrid(*[np.arange(60) - 30] * 3, indexing="ij")
    distance = np.sqrt(x**2 + y**2 + z**2)
    labels[distance < 20] = ED.value
    labels[(distance > 7) & (distance < 11)] = ET.value
    labels[(abs(x) < 4) & (abs(y) < 4) & (z > 0) & (labels == ET.value)] = ED.value  # a hole in the rim
    cleaned = clean(labels, voxel_ml=0.001)
    assert (cleaned[distance < 7] == NCR.value).all()
    assert (cleaned[(distance > 13) & (distance < 20)] == ED.value).all()
    assert np.array_equal(cleaned == ET.value, labels == ET.value)


def test_edema_between_two_cores_far_apart_stays_edema() -> None:
    labels = np.zeros((60, 30, 30), np.uint8)
    labels[5:55, 5:25, 5:25] = ED.value
    labels[8:16, 10:20, 10:20] = ET.value
    labels[44:52, 10:20, 10:20] = ET.value
    assert np.array_equal(clean(labels, voxel_ml=0.001), labels)


def test_sizes_are_milliliters_not_voxels() -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5:14, 5:14, 5:14] = NCR.value  # 729 voxels
    assert not clean(labels, voxel_ml=0.001).any()
    assert np.array_equal(clean(labels, voxel_ml=0.008), labels)


def test_an_empty_labelmap_stays_empty() -> None:
    assert not clean(np.zeros((8, 8, 8), np.uint8), voxel_ml=0.001).any()


def test_a_voxel_belongs_to_each_region_whose_probability_is_high_enough_from_the_outside_in() -> None:
    assert MIN_PROBABILITY == {"WT": 0.35, "TC": 0.5, "ET": 0.5}
    voxels = {
        # background, necrotic, edema, enhancing
        (0.66, 0.10, 0.14, 0.10): 0,
        (0.64, 0.10, 0.16, 0.10): ED.value,  # not the most probable, but tumor enough
        (0.55, 0.45, 0.00, 0.00): ED.value,  # tumor, not sure enough of the core
        (0.20, 0.30, 0.25, 0.25): NCR.value,  # core by its two parts together
        (0.10, 0.20, 0.19, 0.51): ET.value,
    }
    for probabilities, expected in voxels.items():
        block = np.tile(np.array(probabilities, np.float32), (24, 24, 24, 1))
        found = decide(block, np.ones(block.shape[:3], bool), voxel_ml=0.001)
        assert (found == expected).all(), probabilities


def test_outside_the_brain_there_is_no_tumor() -> None:
    certain = np.zeros((24, 24, 24, 4), np.float32)
    certain[..., ET.value] = 1
    brain = np.ones(certain.shape[:3], bool)
    brain[:4] = False
    assert np.array_equal(decide(certain, brain, voxel_ml=0.001) == ET.value, brain)
