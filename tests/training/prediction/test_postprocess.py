import numpy as np
import pytest

from training.labels import ED, ET, NCR
from training.prediction import postprocess
from training.prediction.postprocess import clean, decide

Boxes = list[tuple[int, int, int]]
TUMOR = [(ED.value, 5, 25), (ET.value, 10, 20)]  # 8 mL with a core of 1 mL


def labelmap(*boxes: tuple[int, int, int]) -> np.ndarray:
    """Cubes ``(label, first voxel, end)``, later ones on top of earlier ones, on 1 mm voxels."""
    labels = np.zeros((40, 40, 40), np.uint8)
    for value, first, end in boxes:
        labels[first:end, first:end, first:end] = value
    return labels


@pytest.mark.parametrize(
    ("kept", "dropped"),
    [
        ([], []),
        (TUMOR, []),
        ([*TUMOR, (ED.value, 25, 26)], []),  # touches the lesion by a corner
        ([*TUMOR, (ED.value, 27, 38), (NCR.value, 30, 35)], []),  # a second lesion of 1.331 mL, its core 0.125 mL
        ([(ED.value, 3, 26)], []),  # 12.167 mL without a core: it may only have been missed
        (TUMOR, [(ED.value, 30, 33)]),  # a speck of 0.027 mL beside the tumor
        (TUMOR, [(ED.value, 27, 38)]),  # 1.331 mL without a core beside the tumor
        ([], [(ED.value, 27, 38)]),  # the same alone
        ([], [(ED.value, 2, 16), (NCR.value, 5, 9)]),  # 2.744 mL with a core of only 0.064 mL
        ([], [(NCR.value, 5, 14)]),  # 0.729 mL, all core
    ],
)
def test_small_lesions_and_those_without_a_core_are_dropped_and_others_kept(kept: Boxes, dropped: Boxes) -> None:
    labels = labelmap(*kept, *dropped)
    before = labels.copy()
    assert np.array_equal(clean(labels, voxel_ml=0.001), labelmap(*kept))
    assert np.array_equal(labels, before)  # the input is not changed


def test_thresholds_are_in_milliliters_and_edema_inside_a_broken_rim_becomes_core() -> None:
    assert (postprocess.MIN_LESION_ML, postprocess.MIN_CORE_ML, postprocess.MIN_CORELESS_ML) == (1.0, 0.1, 10.0)
    assert (postprocess.MIN_ENHANCING_ML, postprocess.MIN_PROBABILITY) == (0.5, {"WT": 0.45, "TC": 0.5, "ET": 0.5})
    labels = labelmap((NCR.value, 5, 14))  # 729 voxels
    assert np.array_equal(clean(labels, voxel_ml=0.008), labels)
    core = [(ED.value, 5, 25), (NCR.value, 10, 20)]
    assert np.array_equal(clean(labelmap(*core, (ET.value, 12, 15)), voxel_ml=0.001), labelmap(*core))  # 0.027 mL
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
    between = np.zeros((60, 30, 30), np.uint8)  # two distant cores
    between[5:55, 5:25, 5:25] = ED.value
    between[8:16, 10:20, 10:20] = between[44:52, 10:20, 10:20] = ET.value
    assert np.array_equal(clean(between, voxel_ml=0.001), between)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        # background, necrotic, edema, enhancing
        ((0.56, 0.10, 0.24, 0.10), 0),
        ((0.54, 0.10, 0.26, 0.10), ED.value),  # not the most probable class, but enough for tumor
        ((0.55, 0.45, 0.00, 0.00), ED.value),  # tumor, but not enough for core
        ((0.20, 0.30, 0.25, 0.25), NCR.value),  # core by the sum of its two classes
        ((0.10, 0.20, 0.19, 0.51), ET.value),
    ],
)
def test_a_voxel_of_the_brain_belongs_to_each_region_whose_threshold_it_reaches(probabilities, expected) -> None:
    block = np.tile(np.array(probabilities, np.float32), (28, 24, 24, 1))
    brain = np.ones(block.shape[:3], bool)
    brain[:4] = False
    assert np.array_equal(decide(block, brain, voxel_ml=0.001), np.where(brain, expected, 0))


def test_voxels_of_a_header_with_rounding_errors_give_the_same_core() -> None:
    labels = np.zeros((60, 40, 40), np.uint8)
    labels[5:55, 5:35, 5:35] = ED.value
    labels[10:20, 10:30, 10:30] = labels[32:45, 10:30, 10:30] = NCR.value  # 12 voxels apart: just bridged
    bridged = clean(labels, voxel_ml=0.001)
    assert (bridged[20:32, 20, 20] == NCR.value).all()
    for voxel_ml in (0.001 - 1e-9, 0.001 + 1e-9):
        assert np.array_equal(clean(labels, voxel_ml=voxel_ml), bridged)
