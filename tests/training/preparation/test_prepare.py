import itertools

import numpy as np
import pytest

from tests import synthetic
from training.errors import InputError
from training.evaluation.metrics import dice
from training.images.grid import Grid, Volume, transform_points
from training.modalities import ROLES
from training.preparation.grids import canonical_grid
from training.preparation.prepare import matching_role, prepare

TILT = (14.0, -9.0, 6.0)
#: Four grids of one head: oblique, anisotropic, differing in spacing, axes, tilt and place.
FOUR_GRIDS = {
    "t1": synthetic.oblique_grid((1.0, 1.0, 1.0), (70, 80, 64), axcodes="RAS", degrees=(3.0, 0.0, 0.0)),
    "t1ce": synthetic.oblique_grid((0.9, 0.9, 5.5), (80, 84, 14), axcodes="LAS", degrees=TILT, center=(1.0, -2.0, 3.0)),
    "t2": synthetic.oblique_grid((0.5, 0.5, 3.0), (130, 150, 22), axcodes="LPS", degrees=(0.0, 0.0, 11.0)),
    "flair": synthetic.oblique_grid((4.0, 0.8, 0.8), (20, 90, 80), axcodes="LSA"),
}
AXCODES = [
    "".join(signs[axis] for axis in order)
    for order in itertools.permutations(range(3))
    for signs in itertools.product("RL", "AP", "SI")
]


@pytest.fixture(scope="module")
def four_grids():
    return prepare(synthetic.four_volumes(FOUR_GRIDS))


@pytest.fixture(scope="module")
def prepared():
    return prepare(synthetic.four_volumes(synthetic.brats_grid()))


def ball(shape, center, radius):
    distance = np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - center, axis=-1)
    return (distance < radius).astype(np.uint8)


def world_of(grid, mask):
    return transform_points(grid.affine, np.argwhere(mask)).mean(axis=0)


def test_the_networks_grid_is_ras_isotropic_and_a_multiple_of_the_stride(prepared, four_grids):
    for result in (prepared, four_grids):
        grid = result.frame.working
        assert grid.axcodes == "RAS"
        assert grid.spacing == pytest.approx((1.0, 1.0, 1.0))
        assert all(side % 16 == 0 for side in grid.shape)
        assert result.image.shape == (*grid.shape, 4)
        assert result.image.dtype == np.float32
        assert result.brain.shape == grid.shape


def test_the_brain_is_where_it_was_and_no_larger(prepared, four_grids):
    for result in (prepared, four_grids):
        assert dice(result.brain, synthetic.brain(result.frame.working)) > 0.96


def test_a_brats_case_keeps_the_brain_voxel_for_voxel(prepared):
    assert np.array_equal(prepared.brain, synthetic.brain(prepared.frame.working))


def test_channels_are_scaled_inside_the_brain_and_0_outside(prepared, four_grids):
    for result in (prepared, four_grids):
        for channel in range(4):
            values = result.image[..., channel][result.brain]
            assert values.mean() == pytest.approx(0.0, abs=0.02)
            assert values.std() == pytest.approx(1.0, abs=0.02)
        assert not result.image[~result.brain].any()


def test_all_modalities_show_the_tumor_at_its_place(four_grids):
    middle = np.linalg.inv(four_grids.frame.working.affine) @ [*synthetic.TUMOR_CENTER, 1.0]
    x, y, z = np.round(middle[:3]).astype(int)
    core = four_grids.image[x, y, z]
    assert core[ROLES.index("t1ce")] < 0 < core[ROLES.index("t2")]
    assert four_grids.image[x + 6, y, z, ROLES.index("t1ce")] > 1.5


def test_a_marked_point_is_found_in_the_other_space_within_half_a_voxel(four_grids):
    frame = four_grids.frame
    center = np.array(frame.working.shape) // 2 + [6, -5, 4]
    marked = frame.to_reference(ball(frame.working.shape, center, 7.0))
    assert marked.grid == FOUR_GRIDS["t1ce"]
    found = np.argwhere(marked.data).mean(axis=0)
    assert np.all(np.abs(found - frame.network_to_reference(center)) < 0.5)

    place = np.array([40, 45, 7])
    drawn = np.zeros(frame.reference.shape, np.uint8)
    drawn[place[0] - 4 : place[0] + 5, place[1] - 4 : place[1] + 5, place[2] - 1 : place[2] + 2] = 3
    there = frame.to_working(Volume(drawn, frame.reference))
    found = np.argwhere(there == 3).mean(axis=0)
    assert np.all(np.abs(found - frame.reference_to_network(place)) < 0.5)
    assert np.allclose(frame.network_to_reference(frame.reference_to_network(place)), place)


def test_a_label_drawn_on_an_oblique_reference_lies_on_the_tumor_and_returns(four_grids):
    frame = four_grids.frame
    truth = synthetic.truth(frame.reference)
    inside = frame.to_working(truth)
    assert np.linalg.norm(world_of(frame.working, inside > 0) - synthetic.TUMOR_CENTER) < 1.0
    assert dice(inside > 0, synthetic.truth(frame.working).data > 0) > 0.85  # 5.5 mm slices of a ball of 22 mm
    back = frame.to_reference(inside)
    assert back.grid == frame.reference
    assert back.data.dtype == np.uint8
    assert dice(back.data > 0, truth.data > 0) > 0.97
    for value in (1, 2, 3):
        assert dice(back.data == value, truth.data == value) > 0.9


def test_what_the_network_finds_comes_back_on_the_tumor(four_grids):
    frame = four_grids.frame
    restored = frame.to_reference(synthetic.truth(frame.working).data)
    assert dice(restored.data > 0, synthetic.truth(frame.reference).data > 0) > 0.97


@pytest.mark.parametrize("axcodes", AXCODES)
def test_the_way_to_a_1_mm_reference_and_back_changes_no_bit(axcodes):
    grid = synthetic.oblique_grid((1.0, 1.0, 1.0), (58, 66, 54), axcodes=axcodes, degrees=(8.0, -5.0, 12.0))
    result = prepare(synthetic.four_volumes(grid))
    rng = np.random.default_rng(0)
    labels = np.where(result.brain, rng.integers(0, 4, result.brain.shape), 0).astype(np.uint8)
    restored = result.frame.to_reference(labels)
    assert np.array_equal(result.frame.to_working(restored), labels)
    drawn = np.where(synthetic.brain(grid), rng.integers(0, 4, grid.shape), 0).astype(np.uint8)
    assert np.array_equal(result.frame.to_reference(result.frame.to_working(Volume(drawn, grid))).data, drawn)
    points = transform_points(result.frame.working.affine, np.array([[0, 0, 0], [10, 20, 30]]))
    at = transform_points(grid.affine, result.frame.network_to_reference(np.array([[0, 0, 0], [10, 20, 30]])))
    assert np.allclose(points, at, atol=1e-6)


def test_a_spacing_within_a_percent_of_1_mm_is_not_interpolated():
    grid = synthetic.oblique_grid((1.004, 0.997, 1.0), (58, 66, 54))
    result = prepare(synthetic.four_volumes(grid))
    labels = np.where(result.brain, 2, 0).astype(np.uint8)
    assert result.frame.working.spacing == pytest.approx((1.004, 0.997, 1.0))
    assert result.frame.to_reference(labels).data.sum() == labels.sum()


def test_a_float_map_comes_back_smoothly(four_grids):
    frame = four_grids.frame
    probability = synthetic.truth(frame.working).data.astype(np.float32) / 3.0
    restored = frame.to_reference_map(probability)
    assert restored.data.dtype == np.float32
    assert restored.grid == frame.reference
    assert 0.0 <= restored.data.min() <= restored.data.max() <= 1.0


def test_another_role_can_be_the_reference():
    result = prepare(synthetic.four_volumes(FOUR_GRIDS), reference="flair")
    assert result.frame.reference == FOUR_GRIDS["flair"]
    restored = result.frame.to_reference(synthetic.truth(result.frame.working).data)
    assert dice(restored.data > 0, synthetic.truth(FOUR_GRIDS["flair"]).data > 0) > 0.95


def test_the_canonical_grid_covers_the_same_field_of_view():
    for grid in FOUR_GRIDS.values():
        canonical = canonical_grid(grid)
        middle = transform_points(grid.affine, (np.array(grid.shape) - 1) / 2)
        assert np.allclose(transform_points(canonical.affine, (np.array(canonical.shape) - 1) / 2), middle)
        size = np.prod(np.array(grid.shape) * grid.spacing)
        assert size <= np.prod(np.array(canonical.shape) * canonical.spacing) < 1.15 * size


def test_one_volume_with_a_skull_neither_adds_to_the_brain_nor_hides(prepared):
    volumes = synthetic.four_volumes(synthetic.brats_grid())
    skull = volumes["t2"].data.copy()
    skull[2:-2, 2:-2, 2:-2][skull[2:-2, 2:-2, 2:-2] == 0] = 700.0
    volumes["t2"] = Volume(skull, volumes["t2"].grid)
    assert np.array_equal(prepare(volumes).brain, prepared.brain)


def test_a_shorter_volume_does_not_cut_the_brain(prepared):
    volumes = synthetic.four_volumes(synthetic.brats_grid())
    short = volumes["flair"].data.copy()
    short[:, :, 45:] = 0
    volumes["flair"] = Volume(short, volumes["flair"].grid)
    result = prepare(volumes)
    assert np.array_equal(result.brain, prepared.brain)
    top = np.argwhere(result.brain)[:, 2].max()
    assert not result.image[:, :, top, ROLES.index("flair")].any()


def test_stray_voxels_far_from_the_head_do_not_widen_the_box(prepared):
    volumes = synthetic.four_volumes(synthetic.brats_grid())
    for role in ROLES:
        volumes[role].data[0, 0, 0] = 500.0
    result = prepare(volumes)
    assert result.image.shape == prepared.image.shape
    assert np.array_equal(result.brain, prepared.brain)


def test_a_head_in_noise_is_segmentable_with_a_warning():
    volumes = synthetic.four_volumes(synthetic.brats_grid())
    noise = np.random.default_rng(0)
    for role, volume in volumes.items():
        air = np.abs(noise.normal(0.0, 8.0, volume.data.shape)).astype(np.float32)
        volumes[role] = Volume(np.where(volume.data == 0, air, np.abs(volume.data) + 60.0), volume.grid)
    result = prepare(volumes)
    assert any("skull-stripped" in warning for warning in result.warnings)
    assert dice(result.brain, synthetic.brain(result.frame.working)) > 0.97


def test_volumes_that_do_not_lie_on_each_other_are_warned_of():
    volumes = synthetic.four_volumes(synthetic.brats_grid())
    volumes["t2"] = Volume(np.roll(volumes["t2"].data, 8, axis=1), volumes["t2"].grid)
    warnings = " ".join(prepare(volumes).warnings)
    assert "T2 and T1 with contrast do not lie on each other" in warnings


def test_thick_slices_of_the_reference_are_warned_of(four_grids):
    assert any("5.5 mm thick" in warning for warning in four_grids.warnings)


def test_a_missing_modality_is_named_in_the_error():
    volumes = synthetic.four_volumes(synthetic.brats_grid())
    del volumes["t2"]
    with pytest.raises(InputError, match="Missing: T2") as caught:
        prepare(volumes)
    assert caught.value.field == "t2"


def test_an_unknown_reference_is_refused():
    with pytest.raises(InputError, match="'pd'") as caught:
        prepare(synthetic.four_volumes(synthetic.brats_grid()), reference="pd")
    assert caught.value.field == "reference"


def test_an_empty_volume_is_named_in_the_error():
    volumes = synthetic.four_volumes(synthetic.brats_grid())
    volumes["flair"] = Volume(np.zeros_like(volumes["flair"].data), volumes["flair"].grid)
    with pytest.raises(InputError, match=r"FLAIR .*one value everywhere") as caught:
        prepare(volumes)
    assert caught.value.field == "flair"


def test_volumes_in_different_places_are_refused():
    volumes = synthetic.four_volumes(synthetic.brats_grid())
    for number, role in enumerate(ROLES):
        affine = volumes[role].grid.affine.copy()
        affine[0, 3] += 500.0 * number
        volumes[role] = Volume(volumes[role].data, Grid(volumes[role].grid.shape, affine))
    with pytest.raises(InputError, match="do not overlap in space"):
        prepare(volumes)


def test_a_label_on_another_grid_is_refused_with_numbers(prepared):
    other = synthetic.truth(synthetic.brats_grid((64, 72, 61)))
    with pytest.raises(InputError, match="64 x 72 x 61 against 64 x 72 x 60") as caught:
        prepared.frame.to_working(other)
    assert caught.value.field == "label"


def without(*missing):
    volumes = synthetic.four_volumes(synthetic.brats_grid())
    return {role: volume for role, volume in volumes.items() if role not in missing}


@pytest.mark.parametrize("missing", ROLES)
def test_a_modality_may_be_missing_if_allowed_and_its_channel_is_0(prepared, missing):
    result = prepare(without(missing), allow_missing=True)
    assert result.missing == (missing,)
    assert not result.image[..., ROLES.index(missing)].any()
    assert np.array_equal(result.brain, prepared.brain)
    for channel, role in enumerate(ROLES):
        if role != missing:
            assert np.array_equal(result.image[..., channel], prepared.image[..., channel])
    assert any(f"({missing}) was missing" in warning for warning in result.warnings)


def test_one_volume_is_enough_if_allowed_and_is_called_a_poor_basis(prepared):
    result = prepare(without("t1", "t1ce", "t2"), allow_missing=True)
    assert result.missing == ("t1", "t1ce", "t2")
    assert result.reference == "flair"
    assert np.array_equal(result.brain, prepared.brain)
    warning = result.warnings[0]
    assert "T1 (t1), T1 with contrast (t1ce), T2 (t2) were missing" in warning
    assert "Expect a worse result" in warning
    assert "lies on the grid of FLAIR" in warning


def test_whole_cases_are_the_same_whether_or_not_something_may_be_missing(prepared):
    result = prepare(without(), allow_missing=True)
    assert np.array_equal(result.image, prepared.image)
    assert (result.missing, result.reference, result.warnings) == ((), "t1ce", prepared.warnings)


def test_without_a_reference_named_the_first_there_is_of_t1ce_t1_t2_flair_is_taken():
    volumes = synthetic.four_volumes(FOUR_GRIDS)
    for missing, expected in (("t1ce", "t1"), ("t1", "t2"), ("t2", "flair")):
        del volumes[missing]
        result = prepare(volumes, allow_missing=True)
        assert result.reference == expected
        assert result.frame.reference == FOUR_GRIDS[expected]


def test_a_reference_that_is_named_and_missing_is_refused():
    with pytest.raises(InputError, match=r"T1 with contrast \(t1ce\), is missing.*t1, t2, flair") as caught:
        prepare(without("t1ce"), reference="t1ce", allow_missing=True)
    assert caught.value.field == "reference"


def test_no_volume_at_all_is_refused_even_if_some_may_be_missing():
    with pytest.raises(InputError, match="at least one modality") as caught:
        prepare({}, allow_missing=True)
    assert caught.value.field == "image"


def test_a_misspelled_modality_does_not_pass_for_a_missing_one():
    volumes = without("t2")
    volumes["t2w"] = volumes["flair"]
    with pytest.raises(InputError, match="no modality 't2w'") as caught:
        prepare(volumes, allow_missing=True)
    assert caught.value.field == "t2w"


def test_a_label_on_the_grid_of_none_of_the_volumes_there_are_is_refused_with_numbers():
    volumes = without("t1ce")
    assert matching_role(synthetic.brats_grid(), volumes) == "t1"
    with pytest.raises(InputError, match=r"none of the 3 volumes; against T1, .*64 x 72 x 61 against 64 x 72 x 60"):
        matching_role(synthetic.brats_grid((64, 72, 61)), volumes)
