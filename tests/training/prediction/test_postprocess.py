"""Postprocessing: from probabilities to the labels that are reported."""

from __future__ import annotations

import numpy as np
import pytest

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

Boxes = list[tuple[int, int, int]]


def labelmap(shape: tuple[int, int, int], *boxes: tuple[int, int, int]) -> np.ndarray:
    """Cubes ``(label, first voxel, end)``, later ones on top of earlier ones, on 1 mm voxels."""
    labels = np.zeros(shape, np.uint8)
    for value, first, end in boxes:
        labels[first:end, first:end, first:end] = value
    return labels


TUMOR = [(ED.value, 5, 25), (ET.value, 10, 20)]  # 8 mL with a core of 1 mL
SIZE = (40, 40, 40)


@pytest.mark.parametrize(
    "boxes",
    [
        TUMOR,
        [*TUMOR, (ED.value, 25, 26)],  # touches the lesion by a corner
        [*TUMOR, (ED.value, 27, 38), (NCR.value, 30, 35)],  # a second lesion of 1.331 mL with a core of 0.125 mL
        [(ED.value, 3, 26)],  # 12.167 mL without a core: it may only have been missed
        [],
    ],
    ids=["lesion", "corner", "second lesion", "large without core", "empty"],
)
def test_lesions_that_are_large_enough_are_kept(boxes: Boxes) -> None:
    assert MIN_LESION_ML < 1.331
    assert MIN_CORE_ML < 0.125
    assert MIN_CORELESS_ML < 12.167
    labels = labelmap(SIZE, *boxes)
    assert np.array_equal(clean(labels, voxel_ml=0.001), labels)


@pytest.mark.parametrize(
    ("kept", "dropped"),
    [
        (TUMOR, [(ED.value, 30, 33)]),  # a speck of 0.027 mL beside the tumor
        (TUMOR, [(ED.value, 27, 38)]),  # 1.331 mL without a core beside the tumor
        ([], [(ED.value, 27, 38)]),  # the same alone
        ([], [(ED.value, 2, 16), (NCR.value, 5, 9)]),  # 2.744 mL with a core of only 0.064 mL
        ([], [(NCR.value, 5, 14)]),  # 0.729 mL, all core
    ],
)
def test_small_lesions_and_those_without_a_core_are_dropped(kept: Boxes, dropped: Boxes) -> None:
    assert MIN_CORE_ML > 0.064
    assert MIN_CORELESS_ML > 2.744
    labels = labelmap(SIZE, *kept, *dropped)
    before = labels.copy()
    assert np.array_equal(clean(labels, voxel_ml=0.001), labelmap(SIZE, *kept))
    assert np.array_equal(labels, before)  # the input is not changed


def test_sizes_are_measured_in_milliliters_not_voxels() -> None:
    labels = labelmap((20, 20, 20), (NCR.value, 5, 14))  # 729 voxels
    assert np.array_equal(clean(labels, voxel_ml=0.008), labels)


def test_too_little_enhancing_tumor_becomes_core() -> None:
    labels = labelmap(SIZE, (ED.value, 5, 25), (NCR.value, 10, 20), (ET.value, 12, 15))  # 0.027 mL
    assert MIN_ENHANCING_ML > 0.027
    cleaned = clean(labels, voxel_ml=0.001)
    assert np.array_equal(cleaned, labelmap(SIZE, (ED.value, 5, 25), (NCR.value, 10, 20)))


def test_edema_inside_a_broken_enhancing_rim_becomes_core_and_edema_around_it_stays() -> None:
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


def test_edema_between_two_distant_cores_stays_edema() -> None:
    labels = np.zeros((60, 30, 30), np.uint8)
    labels[5:55, 5:25, 5:25] = ED.value
    labels[8:16, 10:20, 10:20] = ET.value
    labels[44:52, 10:20, 10:20] = ET.value
    assert np.array_equal(clean(labels, voxel_ml=0.001), labels)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        # background, necrotic, edema, enhancing
        ((0.66, 0.10, 0.14, 0.10), 0),
        ((0.64, 0.10, 0.16, 0.10), ED.value),  # not the most probable class, but enough for tumor
        ((0.55, 0.45, 0.00, 0.00), ED.value),  # tumor, but not enough for core
        ((0.20, 0.30, 0.25, 0.25), NCR.value),  # core by the sum of its two classes
        ((0.10, 0.20, 0.19, 0.51), ET.value),
    ],
)
def test_a_voxel_belongs_to_each_region_whose_threshold_it_reaches(probabilities, expected) -> None:
    assert MIN_PROBABILITY == {"WT": 0.35, "TC": 0.5, "ET": 0.5}
    block = np.tile(np.array(probabilities, np.float32), (24, 24, 24, 1))
    assert (decide(block, np.ones(block.shape[:3], bool), voxel_ml=0.001) == expected).all()


def test_there_is_no_tumor_outside_the_brain() -> None:
    certain = np.zeros((24, 24, 24, 4), np.float32)
    certain[..., ET.value] = 1
    brain = np.ones(certain.shape[:3], bool)
    brain[:4] = False
    assert np.array_equal(decide(certain, brain, voxel_ml=0.001) == ET.value, brain)
