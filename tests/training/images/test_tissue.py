import numpy as np
import pytest
from scipy import ndimage

from tests import synthetic
from training.images.masks import dice, large_components
from training.images.tissue import fill_holes, find_tissue

GRID = synthetic.brats_grid()


BRAIN = synthetic.brain(GRID)
SCAN = synthetic.head(GRID, "t1").data.astype(np.float32)


@pytest.mark.parametrize("background", [0.0, -3.7, 12.0, 5000.0])
def test_the_background_is_the_value_of_the_borders_and_negative_voxels_belong_to_the_brain(background):
    assert (SCAN[BRAIN] < 0).any()
    tissue = find_tissue(np.where(BRAIN, SCAN, np.float32(background)))
    assert tissue.background == pytest.approx(background)
    assert dice(tissue.mask, BRAIN) > (0.999 if background else 0.9999999)
    cut = (slice(10, 50), slice(8, 60), slice(12, 50))  # the brain touches the borders
    assert np.array_equal(find_tissue(SCAN[cut]).mask, BRAIN[cut])


def test_noise_around_the_head_is_no_tissue_and_holes_are_filled():
    noise = np.random.default_rng(0).normal(20.0, 5.0, SCAN.shape).astype(np.float32)
    tissue = find_tissue(np.where(BRAIN, np.abs(SCAN) + 100.0, noise))
    assert (tissue.noisy, tissue.background) == (True, pytest.approx(20.0, abs=0.5))
    assert dice(tissue.mask, BRAIN) > 0.99
    holed = BRAIN.copy()
    holed[30:34, 34:38, 28:32] = False
    assert np.array_equal(fill_holes(holed), BRAIN)


#: The scan as if it had been z-scored with its background, which is neither its lowest value nor 0.
ZSCORED = np.where(BRAIN, (SCAN - 380.0) / 90.0, -0.7).astype(np.float32)
SIDES = ((9, 4), (6, 7), (8, 5))
BOX = (slice(6, 58), slice(4, 68), slice(6, 54))
CUT = (slice(10, 50), slice(8, 60), slice(12, 50))


def padded(data, fill, sides=SIDES):
    return np.pad(data, sides, constant_values=fill)


@pytest.mark.parametrize(
    ("data", "brain"),
    [
        pytest.param(padded(ZSCORED, 0.0), padded(BRAIN, False), id="another value on all sides"),
        pytest.param(padded(ZSCORED[BOX], 0.0), padded(BRAIN[BOX], False), id="the same around a tight crop"),
        pytest.param(padded(padded(ZSCORED, 5.0), -1024.0), padded(padded(BRAIN, False), False), id="padded twice"),
        pytest.param(padded(SCAN, ((-1024, 50), (300, -7), (2000, 77))), padded(BRAIN, False), id="six values"),
        pytest.param(np.insert(SCAN, 0, -1024, axis=2), np.insert(BRAIN, 0, False, axis=2), id="one slice"),
        pytest.param(padded(SCAN, -1024, ((0, 0), (12, 0), (0, 0))), padded(BRAIN, False, ((0, 0), (12, 0), (0, 0))),
                     id="one side"),
    ],
)  # fmt: skip
def test_every_constant_region_around_the_brain_is_background(data, brain):
    tissue = find_tissue(data.astype(np.float32))
    assert dice(fill_holes(tissue.mask), brain) > 0.99
    assert not tissue.noisy


@pytest.mark.parametrize(("order", "expected"), [(0, 0.98), (1, 0.95), (3, 0.9)])
@pytest.mark.parametrize(("data", "fill"), [(ZSCORED, 0.0), (SCAN, -1024.0), (padded(ZSCORED, -0.7), 0.0)])
def test_what_interpolation_leaves_between_two_backgrounds_is_no_tissue(data, fill, order, expected):
    def turned(array, order, fill):
        return ndimage.rotate(array, 11.0, axes=(0, 1), reshape=False, order=order, cval=fill)

    brain = BRAIN if data.shape == BRAIN.shape else padded(BRAIN, False)
    tissue = find_tissue(turned(data, order, fill))
    # interpolation makes this small brain larger: a tenth of its voxels lie at its surface
    assert dice(fill_holes(tissue.mask), turned(brain.astype(np.float32), 1, 0.0) > 0.5) > expected
    assert tissue.background == pytest.approx(0.0 if data is SCAN else -0.7)


def in_levels(levels):
    return np.where(BRAIN, np.clip(np.round(SCAN / 900 * levels), 1, levels), 0).astype(np.float32)


@pytest.mark.parametrize("cut", [(slice(None),) * 3, CUT], ids=["whole", "touching the borders"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(in_levels(8), id="8 levels"),
        pytest.param(in_levels(64), id="64 levels"),
        pytest.param(np.where(BRAIN, np.clip(SCAN, 365, 435), 0), id="cut off at both ends"),
        pytest.param(np.where(BRAIN, 0.001 * SCAN, 0), id="scaled"),
        pytest.param(np.where(BRAIN, -SCAN, 0) - 1000, id="negative"),
    ],
)
def test_plateaus_of_one_value_within_the_brain_belong_to_it(data, cut):
    assert dice(fill_holes(find_tissue(data[cut].astype(np.float32)).mask), fill_holes(BRAIN[cut])) > 0.99


def test_an_empty_ventricle_and_a_cyst_of_one_value_belong_to_the_brain():
    data = SCAN.copy()
    data[26:38, 30:40, 24:36] = 0.0
    data[30:44, 42:56, 26:40][BRAIN[30:44, 42:56, 26:40]] = 150.0
    assert dice(fill_holes(find_tissue(data).mask), BRAIN) > 0.999


@pytest.mark.parametrize("sigma", [0.4, 2.0, 10.0])
@pytest.mark.parametrize("kind", ["normal", "whole numbers", "Rician"])
def test_slight_noise_around_a_stripped_brain_is_no_tissue(sigma, kind):
    rng = np.random.default_rng(0)
    data = SCAN + sigma * rng.standard_normal(SCAN.shape)
    data = np.hypot(data, sigma * rng.standard_normal(SCAN.shape)) if kind == "Rician" else data
    data = data if kind == "normal" else np.round(data)
    assert dice(large_components(find_tissue(data.astype(np.float32)).mask, 1000), BRAIN) > 0.985


def test_the_faint_halo_of_a_lossy_compression_is_no_tissue():
    halo = ndimage.binary_dilation(BRAIN, iterations=3) & ~BRAIN
    data = np.where(halo, np.random.default_rng(0).integers(-4, 5, SCAN.shape), SCAN).astype(np.float32)
    assert dice(find_tissue(data).mask, find_tissue(SCAN).mask) > 0.995


@pytest.mark.parametrize("outlier", [1e6, -1e6, 3e38, -3e38, 32767.0])
def test_outliers_do_not_change_what_is_tissue(outlier):
    data = SCAN.copy()
    data.ravel()[:: SCAN.size // 40] = outlier
    assert dice(large_components(find_tissue(data).mask, 1000), find_tissue(SCAN).mask) > 0.9999


def test_a_whole_head_has_its_volume_with_noise_around_it_with_air_of_0_and_partly_blanked():
    for noise in (0.0, 12.0):
        for blanked in (0, 5):
            volume = synthetic.whole_head(noise=noise)["t1"]
            volume.data[:blanked] = 0.0
            tissue = find_tissue(volume.data, volume.grid.voxel_ml)
            assert fill_holes(tissue.mask).sum() * volume.grid.voxel_ml == pytest.approx(3070, rel=0.06)
            assert tissue.noisy is (noise > 0)


def test_dark_bone_in_air_of_0_is_not_taken_for_noise():
    volume = synthetic.whole_head(noise=0.0)["t1"]
    bone = volume.data == 15.0
    volume.data[bone] = np.random.default_rng(0).normal(60.0, 6.0, np.count_nonzero(bone))
    tissue = find_tissue(volume.data, volume.grid.voxel_ml)
    assert (tissue.background, tissue.noisy) == (0.0, False)
    assert fill_holes(tissue.mask).sum() * volume.grid.voxel_ml == pytest.approx(3070, rel=0.06)


def test_values_near_the_background_of_0_are_tissue_where_only_the_brain_was_z_scored():
    rng = np.random.default_rng(0)  # most of the brain lies near its mean, as in T1
    values = rng.normal(0.0, np.where(rng.random(SCAN.shape) < 0.8, 0.15, 3.0))
    data = np.where(BRAIN, values, 0.0).astype(np.float32)
    assert dice(fill_holes(find_tissue(data).mask), BRAIN) > 0.99
