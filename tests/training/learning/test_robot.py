import numpy as np
import pytest
from scipy import ndimage

from training.evaluation.metrics import region_dice
from training.learning.robot import MAX_JITTER_VOXELS, SPECK_ML, drawn_truth, submitted_label

MM = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """A ring-enhancing tumor: spheres of edema, enhancing tumor and necrosis."""
    axes = np.stack(np.meshgrid(*[np.arange(48)] * 3, indexing="ij"))
    distance = np.sqrt(((axes - 23.5) ** 2).sum(0))
    return np.select([distance < 7, distance < 12, distance < 18], [1, 3, 2], 0).astype(np.uint8)


@pytest.fixture(scope="module")
def drawn(truth: np.ndarray) -> np.ndarray:
    return drawn_truth(truth, MM, np.random.default_rng(5))


def test_the_boundary_is_displaced_by_at_most_a_voxel_and_the_regions_stay_nested(truth, drawn):
    for values in ((1, 2, 3), (1, 3), (3,)):
        before, after = np.isin(truth, values), np.isin(drawn, values)
        moved = before != after
        assert moved.any()
        away = ndimage.distance_transform_edt(before) + ndimage.distance_transform_edt(~before)
        assert away[moved].max() <= MAX_JITTER_VOXELS + 0.5
    assert 0.85 < min(region_dice(drawn, truth).values()) < 1


def test_the_same_seed_gives_the_same_label_and_another_seed_or_case_another_one(truth):
    empty = np.zeros_like(truth)
    labels = [
        submitted_label(empty, truth, MM, seed=seed, case=case)
        for seed, case in ((1, "a"), (1, "a"), (2, "a"), (1, "b"))
    ]
    assert np.array_equal(labels[0], labels[1])
    assert not np.array_equal(labels[0], labels[2])
    assert not np.array_equal(labels[0], labels[3])


def test_small_specks_stay_as_the_answer_has_them_and_larger_mistakes_are_corrected(truth):
    clean = submitted_label(truth, truth, MM, seed=0, case="a")
    answer = truth.copy()
    answer[1:4, 1:4, 1:4] = 2  # 0.027 mL
    answer[1:5, 41:46, 41:46] = 3  # 0.1 mL
    submitted = submitted_label(answer, truth, MM, seed=0, case="a")
    assert (submitted[1:4, 1:4, 1:4] == 2).all()
    assert not submitted[1:5, 41:46, 41:46].any()
    submitted[1:4, 1:4, 1:4] = 0
    assert np.array_equal(submitted, clean)
    regions, _ = ndimage.label(clean != truth, structure=np.ones((3, 3, 3)))
    assert (np.bincount(regions.ravel())[1:] >= 1000 * SPECK_ML).all()


def test_without_tumor_an_empty_label_is_submitted(truth):
    answer = np.where(truth == 3, 3, 0).astype(np.uint8)
    assert not submitted_label(answer, np.zeros_like(truth), MM, seed=0, case="a").any()
    assert submitted_label(answer, np.zeros_like(truth), MM, seed=0, case="a").dtype == np.uint8


def test_the_error_is_in_voxels_of_the_finest_axis(truth):
    thick = drawn_truth(truth, (0.5, 0.5, 3.0), np.random.default_rng(5))
    moved = (truth > 0) != (thick > 0)
    away = ndimage.distance_transform_edt(truth > 0, sampling=(0.5, 0.5, 3.0)) + ndimage.distance_transform_edt(
        truth == 0, sampling=(0.5, 0.5, 3.0)
    )
    assert 0 < away[moved].max() <= 0.5 * (MAX_JITTER_VOXELS + 0.5)
