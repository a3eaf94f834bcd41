import itertools

import numpy as np
import pytest

from tests import synthetic
from tests.training import rejected
from tests.training.preparation.test_modality_contrast import SCANS
from training.images.derived_grids import canonical_grid
from training.images.grid import Grid, Volume, transform_points
from training.images.masks import dice
from training.modalities import ROLES
from training.preparation.prepare import Frame, matching_role, prepare

TILT = (14.0, -9.0, 6.0)
#: Four grids of one head, which differ in spacing, axes, tilt and position.
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
HEAD = synthetic.four_volumes(synthetic.brats_grid())


@pytest.fixture(scope="module")
def four_grids():
    return prepare(synthetic.four_volumes(FOUR_GRIDS))


@pytest.fixture(scope="module")
def prepared():
    return prepare(HEAD)


def head(without=(), **changed):
    """The head's volumes on BraTS's grid, some left out and some with other data."""
    volumes = {role: volume for role, volume in HEAD.items() if role not in without}
    return volumes | {role: Volume(data, HEAD[role].grid) for role, data in changed.items()}


def test_volumes_are_prepared_on_a_ras_isotropic_grid_and_normalized_inside_the_brain(prepared, four_grids):
    for result in (prepared, four_grids):
        grid = result.frame.working
        assert (grid.axcodes, grid.spacing) == ("RAS", pytest.approx((1.0, 1.0, 1.0)))
        assert all(side % 16 == 0 for side in grid.shape)
        assert (result.image.shape, result.image.dtype) == ((*grid.shape, 4), np.float32)
        assert dice(result.brain, synthetic.brain(grid)) > 0.96
        assert result.image[result.brain].mean(axis=0) == pytest.approx(np.zeros(4), abs=0.02)
        assert result.image[result.brain].std(axis=0) == pytest.approx(np.ones(4), abs=0.02)
        assert not result.image[~result.brain].any()
    assert np.array_equal(prepared.brain, synthetic.brain(prepared.frame.working))  # voxel for voxel
    # All modalities show the tumor in its place.
    x, y, z = np.round(np.linalg.inv(grid.affine) @ [*synthetic.TUMOR_CENTER, 1.0])[:3].astype(int)
    core = four_grids.image[x, y, z]
    assert core[ROLES.index("t1ce")] < 0 < core[ROLES.index("t2")]
    assert four_grids.image[x + 6, y, z, ROLES.index("t1ce")] > 1.5


def test_points_labels_and_maps_survive_the_round_trip_on_an_oblique_reference(four_grids):
    frame: Frame = four_grids.frame
    to_working = np.linalg.inv(frame.working.affine) @ frame.reference.affine
    center = np.array(frame.working.shape) // 2 + [6, -5, 4]
    distance = np.linalg.norm(np.moveaxis(np.indices(frame.working.shape), 0, -1) - center, axis=-1)
    marked = frame.to_reference((distance < 7.0).astype(np.uint8))
    assert marked.grid == FOUR_GRIDS["t1ce"]
    expected = transform_points(np.linalg.inv(to_working), center)
    assert np.all(np.abs(np.argwhere(marked.data).mean(axis=0) - expected) < 0.5)
    drawn = np.zeros(frame.reference.shape, np.uint8)
    drawn[36:45, 41:50, 6:9] = 3
    found = np.argwhere(frame.to_working(Volume(drawn, frame.reference)) == 3).mean(axis=0)
    assert np.all(np.abs(found - transform_points(to_working, np.array([40, 45, 7]))) < 0.5)
    truth = synthetic.truth(frame.reference)
    inside = frame.to_working(truth)
    center = transform_points(frame.working.affine, np.argwhere(inside > 0)).mean(axis=0)
    assert np.linalg.norm(center - synthetic.TUMOR_CENTER) < 1.0
    assert dice(inside > 0, synthetic.truth(frame.working).data > 0) > 0.85  # 5.5 mm slices of a ball of 22 mm
    back = frame.to_reference(inside)
    assert back.data.dtype == np.uint8
    assert dice(back.data > 0, truth.data > 0) > 0.97
    for value in (1, 2, 3):
        assert dice(back.data == value, truth.data == value) > 0.9
    restored = frame.to_reference_map(synthetic.truth(frame.working).data.astype(np.float32) / 3.0)
    assert restored.data.dtype == np.float32
    assert back.grid == restored.grid == frame.reference
    assert 0.0 <= restored.data.min() <= restored.data.max() <= 1.0
    on_flair = prepare(synthetic.four_volumes(FOUR_GRIDS), reference="flair")
    for result, reference in ((four_grids, FOUR_GRIDS["t1ce"]), (on_flair, FOUR_GRIDS["flair"])):
        assert result.frame.reference == reference
        found = result.frame.to_reference(synthetic.truth(result.frame.working).data)
        assert dice(found.data > 0, synthetic.truth(reference).data > 0) > 0.95


@pytest.mark.parametrize("axcodes", AXCODES)
def test_the_round_trip_to_a_1_mm_reference_changes_no_bit(axcodes):
    grid = synthetic.oblique_grid((1.0, 1.0, 1.0), (58, 66, 54), axcodes=axcodes, degrees=(8.0, -5.0, 12.0))
    volume = Volume(synthetic.head(grid, "t1").data.astype(np.float32), grid)
    result = prepare({"t1": volume}, allow_missing=True)
    rng = np.random.default_rng(0)
    labels = np.where(result.brain, rng.integers(0, 4, result.brain.shape), 0).astype(np.uint8)
    assert np.array_equal(result.frame.to_working(result.frame.to_reference(labels)), labels)
    drawn = np.where(synthetic.brain(grid), rng.integers(0, 4, grid.shape), 0).astype(np.uint8)
    assert np.array_equal(result.frame.to_reference(result.frame.to_working(Volume(drawn, grid))).data, drawn)


@pytest.mark.parametrize("role", ROLES)
def test_the_canonical_grid_covers_the_same_field_of_view(role):
    grid, canonical = FOUR_GRIDS[role], canonical_grid(FOUR_GRIDS[role])
    middle, other = (transform_points(each.affine, (np.array(each.shape) - 1) / 2) for each in (grid, canonical))
    assert np.allclose(middle, other)
    size, canonical_size = (np.prod(np.array(each.shape) * each.spacing) for each in (grid, canonical))
    assert size * (1 - 1e-9) <= canonical_size < 1.15 * size


@pytest.mark.parametrize(("side", "kept"), [(1, False), (9, False), (11, True)])
def test_components_below_1_ml_do_not_widen_the_box(prepared, side, kept):
    stray = {role: volume.data.copy() for role, volume in HEAD.items()}
    for data in stray.values():
        data[2 : 2 + side, 2 : 2 + side, 2 : 2 + side] = 500.0
    result = prepare(head(**stray))
    assert np.count_nonzero(result.brain) == np.count_nonzero(prepared.brain) + kept * side**3
    assert (result.image.shape == prepared.image.shape) is not kept


def test_a_skull_or_a_shorter_volume_does_not_change_the_brain_and_doubtful_input_gives_warnings(prepared, four_grids):
    skull = HEAD["t2"].data.copy()
    skull[2:-2, 2:-2, 2:-2][skull[2:-2, 2:-2, 2:-2] == 0] = 700.0
    assert np.array_equal(prepare(head(t2=skull)).brain, prepared.brain)
    short = HEAD["flair"].data.copy()
    short[:, :, 45:] = 0
    result = prepare(head(flair=short))
    assert np.array_equal(result.brain, prepared.brain)
    assert not result.image[:, :, np.argwhere(result.brain)[:, 2].max(), ROLES.index("flair")].any()
    rng = np.random.default_rng(0)
    noisy = {
        role: np.where(data == 0, np.abs(rng.normal(0.0, 8.0, data.shape)).astype(np.float32), np.abs(data) + 60.0)
        for role, data in ((role, volume.data) for role, volume in HEAD.items())
    }
    result = prepare(head(**noisy))
    assert any("skull-stripped" in warning for warning in result.warnings)
    assert dice(result.brain, synthetic.brain(result.frame.working)) > 0.97
    warnings = " ".join(prepare(head(t2=np.roll(HEAD["t2"].data, 8, axis=1))).warnings)
    assert "T2 and T1 with contrast do not lie on each other" in warnings
    assert any("5.5 mm thick" in warning for warning in four_grids.warnings)


#: The head's volumes, 500 mm from each other.
APART = {
    role: Volume(volume.data, Grid(volume.grid.shape, volume.grid.affine + 500.0 * number * np.eye(4, k=3)))
    for number, (role, volume) in enumerate(HEAD.items())
}


@pytest.mark.parametrize(
    ("volumes", "options", "message", "field"),
    [
        (head(without=["t2"]), {}, "Missing: T2", "t2"),
        (head(), {"reference": "pd"}, "'pd'", "reference"),
        (head(flair=np.zeros_like(HEAD["flair"].data)), {}, r"FLAIR .*one value everywhere", "flair"),
        (APART, {}, "do not overlap in space", "image"),
        (head(without=["t1ce"]), {"reference": "t1ce"}, r"\(t1ce\), is missing.*t1, t2, flair", "reference"),
        ({}, {}, "at least one modality", "image"),
        ({**head(without=["t2"]), "t2w": HEAD["t2"]}, {}, "no modality 't2w'", "t2w"),
    ],
)
def test_unusable_volumes_are_rejected_with_the_field(volumes, options, message, field):
    with rejected(message, field):
        prepare(volumes, allow_missing=field != "t2", **options)


def test_a_copy_on_another_grid_of_the_same_voxels_is_rejected():
    t1 = HEAD["t1"]
    turned = np.pad(np.flip(t1.data, axis=0).transpose(2, 0, 1), 4).astype(np.float32)
    axes = t1.grid.affine @ np.array([[0, -1, 0, t1.grid.shape[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    axes[:3, 3] -= axes[:3, :3] @ [4, 4, 4]
    copy = Volume(0.01 * np.where(turned == 0, 0, turned + 900), Grid((68, 72, 80), axes))
    with rejected("T1 .t1. and FLAIR .flair. hold the same voxels", "flair"):
        prepare({**HEAD, "flair": copy})


def test_exchanged_modalities_are_the_first_warning():
    images = {**SCANS, "t2": SCANS["flair"], "flair": SCANS["t2"]}
    grid = synthetic.brats_grid((88, 92, 88))
    result = prepare(
        {role: Volume(np.pad(scan + 500, 4), grid) for role, scan in images.items() if role != "t1"}, allow_missing=True
    )
    assert result.warnings[0].startswith("T2 (t2) looks like FLAIR and FLAIR (flair) like T2: were they exchanged?")
    assert "T1 (t1) was missing" in result.warnings[1]


@pytest.mark.parametrize("missing", [(), ("t1ce",), ("t2",), ("flair",), ("t1", "t2"), ("t1", "t1ce", "t2")], ids=str)
def test_the_channel_of_a_missing_modality_is_0_and_the_others_are_unchanged(prepared, missing):
    result = prepare(head(without=missing), allow_missing=True)
    reference = "t1ce" if "t1ce" not in missing else "t1" if len(missing) == 1 else "flair"
    assert (result.missing, result.reference) == (missing, reference)
    assert np.array_equal(result.brain, prepared.brain)
    assert np.array_equal(result.image, prepared.image * [role not in missing for role in ROLES])
    warning = result.warnings[0] if missing else ""
    assert len(result.warnings) == len(prepared.warnings) + bool(missing)
    assert all(f"({role})" in warning for role in missing)
    assert ("Expect a worse result" in warning) is (len(missing) > 1)
    assert ("lies on the grid of" in warning) is ("t1ce" in missing)


def test_a_missing_t1_is_estimated_from_the_others_and_that_is_told(prepared):
    result = prepare(head(without=("t1",)), allow_missing=True)
    assert (result.missing, result.reference) == (("t1",), "t1ce")
    estimated = result.image[..., ROLES.index("t1")]
    assert (estimated[result.brain].mean(), estimated[result.brain].std()) == pytest.approx((0, 1), abs=1e-3)
    assert not estimated[~result.brain].any()
    assert np.array_equal(result.image[..., 1:], prepared.image[..., 1:])
    assert "T1 (t1) was missing" in result.warnings[0]
    assert "estimated from the other volumes" in result.warnings[0]


def test_a_spacing_of_nearly_1_mm_is_kept_t1ce_is_the_default_reference_and_a_label_on_another_grid_rejected(prepared):
    result = prepare(synthetic.four_volumes(synthetic.oblique_grid((1.004, 0.997, 1.0), (58, 66, 54))))
    labels = np.where(result.brain, 2, 0).astype(np.uint8)
    assert result.frame.working.spacing == pytest.approx((1.004, 0.997, 1.0))
    assert result.frame.to_reference(labels).data.sum() == labels.sum()
    volumes = synthetic.four_volumes(FOUR_GRIDS)
    for missing, expected in (("t1ce", "t1"), ("t1", "t2"), ("t2", "flair")):
        del volumes[missing]
        result = prepare(volumes, allow_missing=True)
        assert (result.reference, result.frame.reference) == (expected, FOUR_GRIDS[expected])
    other = synthetic.truth(synthetic.brats_grid((64, 72, 61)))
    with rejected("64 x 72 x 61 against 64 x 72 x 60", "label"):
        prepared.frame.to_working(other)
    assert matching_role(synthetic.brats_grid(), head(without=["t1ce"])) == "t1"
    with rejected(r"none of the 3 volumes; against T1, .*64 x 72 x 61 against 64 x 72 x 60", "label"):
        matching_role(other.grid, head(without=["t1ce"]))


@pytest.fixture(scope="module")
def heads():
    return {noise: synthetic.whole_head(noise=noise) for noise in (0.0, 12.0)}


@pytest.mark.parametrize("noise", [0.0, 12.0])
def test_a_whole_head_is_refused_unless_it_is_allowed_and_is_not_called_unregistered(heads, noise):
    with rejected(
        r"not look skull-stripped: they show 3\d\d\d mL .*--no-as-scanned.*--allow-whole", "allow_whole_head"
    ):
        prepare(heads[noise], spacing_mm=4.0)
    result = prepare(heads[noise], spacing_mm=4.0, allow_whole_head=True)
    assert result.brain.sum() * result.frame.working.voxel_ml == pytest.approx(3070, rel=0.06)
    assert [warning[:36] for warning in result.warnings if "slices" not in warning] == [
        "The volumes do not look skull-stripped"[:36]
    ]


def test_a_volume_that_is_not_stripped_like_the_others_is_named_and_noise_alone_refuses_nothing(heads):
    head = heads[12.0]
    grid = head["t1"].grid
    brain = np.linalg.norm(synthetic.positions(grid) / (65, 80, 60), axis=-1) < 1.0
    stripped = {role: Volume(np.where(brain, volume.data, 0), grid) for role, volume in head.items()}
    result = prepare({**stripped, "t2": head["t2"]}, spacing_mm=4.0)
    assert any("T2 shows 3" in warning and "not skull-stripped" in warning for warning in result.warnings)
    assert not any("do not lie on each other" in warning for warning in result.warnings)
    rng = np.random.default_rng(1)
    noisy = {
        role: Volume(volume.data + rng.normal(0, 4, grid.shape).astype(np.float32), grid)
        for role, volume in stripped.items()
    }
    result = prepare(noisy, spacing_mm=4.0)
    assert dice(result.brain, prepare(stripped, spacing_mm=4.0).brain) > 0.99
    assert any("background of T1, T1 with contrast, T2, FLAIR is noise" in warning for warning in result.warnings)


@pytest.mark.parametrize("value", [1e6, -1e6, 32767.0])
def test_outliers_move_nothing_and_are_told_with_modality_and_number(prepared, value):
    hot = HEAD["flair"].data.copy()
    spots = np.argwhere(synthetic.brain(HEAD["flair"].grid))[::9000]
    hot[tuple(spots.T)] = value
    hot[1, 1, 1] = value
    result = prepare(head(flair=hot))
    assert np.array_equal(result.brain, prepared.brain)
    assert np.quantile(np.abs(result.image - prepared.image), 0.999) < 0.02
    assert np.abs(result.image).max() < 1.1 * np.abs(prepared.image).max()
    assert [warning for warning in result.warnings if warning not in prepared.warnings] == [
        f"FLAIR holds {len(spots)} voxels with values far outside those of all other tissue; they were replaced by "
        "those around them. Check the image there."
    ]


def test_outliers_are_removed_before_resampling_spreads_them(four_grids):
    volumes = synthetic.four_volumes(FOUR_GRIDS)
    volumes["flair"].data[10, 45, 40] = 1e6
    result = prepare(volumes)
    assert np.array_equal(result.brain, four_grids.brain)
    assert np.quantile(np.abs(result.image - four_grids.image), 0.9999) < 0.02


def test_a_fill_far_from_the_tissue_is_not_mixed_into_the_rim_of_the_brain(four_grids):
    volumes = synthetic.four_volumes(FOUR_GRIDS)
    filled = {
        role: Volume(np.where(volume.data == 0, np.float32(-30000), volume.data), volume.grid)
        for role, volume in volumes.items()
    }
    result = prepare(filled)
    assert dice(result.brain, four_grids.brain) > 0.99
    assert np.abs(result.image).max() < 3 * np.abs(four_grids.image).max()
