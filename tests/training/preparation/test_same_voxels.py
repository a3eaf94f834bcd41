import itertools

import numpy as np
import pytest
from scipy import ndimage

from tests.training import rejected
from training.modalities import ROLES
from training.preparation.same_voxels import check_same_voxels

SHAPE = (72, 80, 72)
EVERYWHERE = np.ones(SHAPE, bool)


def smooth_noise(seed: int) -> np.ndarray:
    return (1000 + 5000 * ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 2)).astype(np.float32)


SCANS = {role: smooth_noise(seed) for seed, role in enumerate(ROLES)}


def as_uint8(scan: np.ndarray) -> np.ndarray:
    low, high = np.percentile(scan, [0, 99.8])
    return np.round(np.clip((scan - low) / (high - low), 0, 1) * 255)


def with_outliers(scan: np.ndarray) -> np.ndarray:
    changed = scan.copy()
    changed[30:33, 40, 40] = 1e6
    return changed


@pytest.mark.parametrize(("first", "second"), itertools.combinations(ROLES, 2))
def test_two_modalities_with_the_same_voxels_are_refused_by_name(first, second):
    with rejected("hold the same voxels.*--allow-missing", second) as caught:
        check_same_voxels({**SCANS, second: SCANS[first].copy()}, EVERYWHERE, 1.0)
    assert caught.value.roles == (first, second)


@pytest.mark.parametrize(
    "copy",
    [
        lambda scan: 0.037 * scan - 500,
        lambda scan: np.round(scan).astype(np.int16),
        as_uint8,
        with_outliers,
    ],
    ids=["scale and offset", "int16", "uint8", "outliers"],
)
def test_a_copy_with_other_numbers_is_refused(copy):
    with rejected("T1 .t1. and T1 with contrast .t1ce. hold the same voxels", "t1ce"):
        check_same_voxels({"t1": SCANS["t1"], "t1ce": copy(SCANS["t1"])}, EVERYWHERE, 1.0)


@pytest.mark.parametrize(
    "copy",
    [
        lambda scan: ndimage.gaussian_filter(scan, 0.8),
        lambda scan: (scan - scan.min()) ** 2,
        lambda scan: ndimage.shift(scan, 0.2, order=1, mode="nearest"),
    ],
    ids=["smoothed", "gamma", "resampled"],
)
def test_an_altered_copy_is_told(copy):
    (warning,) = check_same_voxels({**SCANS, "t1ce": copy(SCANS["t1"])}, EVERYWHERE, 1.0)
    assert "T1 (t1) and T1 with contrast (t1ce) are almost the same image" in warning


def test_modalities_that_are_alike_but_not_copies_are_accepted():
    alike = SCANS["t1"] + 0.4 * (SCANS["t2"] - 1000)  # correlation 0.93, as of T1 and T1 with contrast at most
    assert check_same_voxels({**SCANS, "t1ce": alike}, EVERYWHERE, 1.0) == ()


def test_less_than_50_ml_are_not_compared():
    twice = {**SCANS, "t1ce": SCANS["t1"]}
    piece = EVERYWHERE.copy()
    piece[8:] = False
    assert check_same_voxels(twice, piece, 1.0) == ()
    with rejected("hold the same voxels"):
        check_same_voxels(twice, piece, 1.1)
