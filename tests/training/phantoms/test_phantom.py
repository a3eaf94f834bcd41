"""Phantoms: what they hold, that a seed decides them, and what they teach."""

from __future__ import annotations

import numpy as np
import pytest

from training.errors import InputError
from training.phantoms import atlas as phantom_atlas
from training.phantoms import generate as phantom_module
from training.phantoms.fields import half_length, scan_matrix, smooth_noise, smoothstep, upsample
from training.phantoms.generate import generate
from training.phantoms.tumor import KINDS

T1, T1CE, T2, FLAIR = range(4)


@pytest.fixture(scope="module")
def patches():
    """Forty small phantoms: enough for every build of tumor to occur."""
    return [generate(seed, (56, 56, 56)) for seed in range(40)]


@pytest.fixture(scope="module")
def head():
    return generate(3)


def contrast(phantom, channel, value):
    """Mean of a label in a modality, over the mean of what is no tumor."""
    image = phantom.image[..., channel]
    return image[phantom.label == value].mean() / image[phantom.brain & (phantom.label == 0)].mean()


def test_a_seed_decides_a_phantom():
    one, again, other = generate(5, (48, 48, 48)), generate(5, (48, 48, 48)), generate(6, (48, 48, 48))
    assert np.array_equal(one.image, again.image)
    assert np.array_equal(one.label, again.label)
    assert not np.array_equal(one.image, other.image)


def test_images_are_positive_in_the_brain_and_zero_outside(patches):
    for phantom in patches:
        assert phantom.image.dtype == np.float32
        assert np.all(np.isfinite(phantom.image))
        assert np.all(phantom.image[phantom.brain] >= 1)
        assert not phantom.image[~phantom.brain].any()


def test_labels_are_known_values_inside_the_brain(patches):
    for phantom in patches:
        assert phantom.label.dtype == np.uint8
        assert phantom.label.max() <= 3
        assert not phantom.label[~phantom.brain].any()


def test_every_build_of_tumor_occurs_and_some_heads_are_healthy(patches):
    assert {phantom.kind for phantom in patches} == {*KINDS, "healthy"}
    for phantom in patches:
        assert phantom.label.any() == (phantom.kind != "healthy")


def test_a_phantom_asked_for_without_a_tumor_has_none():
    for seed in range(4):
        phantom = generate(seed, (48, 48, 48), tumor=False)
        assert phantom.kind == "healthy"
        assert not phantom.label.any()
        assert phantom.brain.any()


def test_a_phantom_asked_for_with_a_small_tumor_has_one_of_a_few_milliliters():
    phantoms = [generate(seed, (64, 64, 64), tumor="small") for seed in range(8)]
    cores = [np.count_nonzero((phantom.label == 1) | (phantom.label == 3)) / 1000 for phantom in phantoms]
    assert all(phantom.kind in KINDS for phantom in phantoms)
    assert max(cores) < 8  # a ball of 10 mm radius has 4.2 mL; satellites and generous drawing add to it
    assert np.median(cores) < 4
    assert min(cores) > 0.1


def test_edema_shines_on_flair_and_enhancing_tumor_on_t1ce(patches):
    edema = [contrast(p, FLAIR, 2) for p in patches if np.count_nonzero(p.label == 2) > 500]
    enhancing = [contrast(p, T1CE, 3) for p in patches if np.count_nonzero(p.label == 3) > 500]
    assert len(edema) > 10
    assert len(enhancing) > 10
    assert np.median(edema) > 1.25
    assert np.median(enhancing) > 1.25


def test_a_low_grade_core_is_darker_than_edema_on_t1_and_brighter_on_t2(patches):
    low = [p for p in patches if p.kind == "low" and min(np.sum(p.label == 1), np.sum(p.label == 2)) > 300]
    assert len(low) >= 3
    assert np.mean([contrast(p, T1, 1) / contrast(p, T1, 2) for p in low]) < 0.95
    assert np.mean([contrast(p, T2, 1) / contrast(p, T2, 2) for p in low]) > 1.05


def test_healthy_heads_hold_things_as_bright_as_enhancing_tumor():
    """Vessels, sinuses and choroid plexus: without them, a network takes every bright spot for tumor."""
    shares = []
    for seed in range(8):
        phantom = generate(seed, (80, 80, 80), tumor=False)
        t1ce = phantom.image[..., T1CE][phantom.brain]
        shares.append(np.mean(t1ce > 1.35 * np.median(t1ce)))
    assert np.median(shares) > 5e-4


def test_a_head_with_every_distractor_has_every_kind_and_no_tumor(monkeypatch):
    seen: list[str] = []
    render = phantom_module.render

    def spy(rng, anatomy, grown, found, contrast):
        seen.extend(item.kind for item in found)
        return render(rng, anatomy, grown, found, contrast)

    monkeypatch.setattr(phantom_module, "render", spy)
    head = generate(2, tumor=False, distractors="all")
    assert set(seen) >= {"vessel", "sinus", "choroid", "dura", "falx", "lesion", "flow"}
    assert not head.label.any()


def test_enhancing_tumor_is_either_visible_or_absent(patches):
    for phantom in patches:
        assert not 0 < np.count_nonzero(phantom.label == 3) < 200  # the rim of a patch may cut some off


def test_a_whole_head_has_the_size_of_one_and_is_not_cut_off(head):
    milliliters = head.brain.sum() / 1000
    assert 800 < milliliters < 2000
    for axis in range(3):
        ends = np.take(head.brain, [0, -1], axis=axis)
        assert ends.sum() < 200  # below, the spinal cord ends where the atlas does
    assert np.array_equal(np.diag(head.affine), np.ones(4))
    middle = head.affine[:3, :3] @ (np.array(head.brain.shape) / 2) + head.affine[:3, 3]
    assert np.all(np.abs(middle) < 60)


def test_fluid_is_bright_on_t2_and_dark_on_flair_and_t1(head):
    image = head.image[head.brain]
    fluid = image[:, T2] > np.percentile(image[:, T2], 96)
    tumor = head.label[head.brain] > 0
    for channel in (T1, T1CE, FLAIR):
        assert image[fluid & ~tumor, channel].mean() < image[~fluid & ~tumor, channel].mean()


def test_a_patch_has_the_shape_asked_for_and_holds_the_tumor():
    phantom = generate(1, (72, 64, 48))
    assert phantom.image.shape == (72, 64, 48, 4)
    assert phantom.label.any()


@pytest.mark.parametrize(
    ("seed", "shape", "field"), [(-1, None, "seed"), (0, (8, 64, 64), "shape"), (0, (64, 64), "shape")]
)
def test_an_impossible_phantom_is_refused_with_the_field_named(seed, shape, field):
    with pytest.raises(InputError) as caught:
        generate(seed, shape)
    assert caught.value.field == field


def test_the_atlas_is_the_same_from_the_cache_as_built_anew(tmp_path, monkeypatch):
    stored = tmp_path / "cache" / "atlas.npz"
    monkeypatch.setattr(phantom_atlas, "_cache_path", lambda: stored)
    load = phantom_atlas.load_atlas.__wrapped__
    built = load()
    assert stored.is_file()
    with monkeypatch.context() as patched:
        patched.setattr(phantom_atlas, "build_atlas", None)  # would fail if it were called
        cached = load()
    for name in ("csf", "white", "depth", "ventricle", "vessel", "deep", "origin"):
        assert np.array_equal(getattr(built, name), getattr(cached, name)), name


def test_a_damaged_atlas_cache_is_built_anew(tmp_path, monkeypatch):
    stored = tmp_path / "atlas.npz"
    stored.write_bytes(b"PK\x03\x04 not really a zip file")
    small = phantom_atlas.load_atlas()
    monkeypatch.setattr(phantom_atlas, "_cache_path", lambda: stored)
    monkeypatch.setattr(phantom_atlas, "build_atlas", lambda: small)
    assert np.array_equal(phantom_atlas.load_atlas.__wrapped__().csf, small.csf)
    with np.load(stored) as mended:
        assert mended["csf"].shape == small.csf.shape


def test_an_atlas_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("a file where the folder should be")
    small = phantom_atlas.load_atlas()
    monkeypatch.setattr(phantom_atlas, "_cache_path", lambda: blocked / "atlas.npz")
    monkeypatch.setattr(phantom_atlas, "build_atlas", lambda: small)
    assert phantom_atlas.load_atlas.__wrapped__().csf.shape == small.csf.shape


@pytest.mark.parametrize("scale", [3, 9, 40])
def test_smooth_noise_has_unit_deviation_at_any_scale(scale):
    spread = [smooth_noise(np.random.default_rng(seed), (48, 56, 64), scale).std() for seed in range(24)]
    mean = np.sqrt(np.mean(np.square(spread)))
    assert (0.8 if scale < 20 else 0.4) < mean < 1.2  # a scale near the field's size varies little inside one field


def test_coarse_noise_changes_slowly_from_voxel_to_voxel():
    rough, smooth = (smooth_noise(np.random.default_rng(0), (40, 40, 40), scale) for scale in (3, 20))
    assert np.abs(np.diff(smooth, axis=0)).mean() < 0.3 * np.abs(np.diff(rough, axis=0)).mean()


def test_upsampling_keeps_every_second_voxel_and_goes_straight_between():
    shape = (9, 10, 11)
    ramp = np.arange(half_length(9), dtype=np.float32)[:, None, None] * 2
    coarse = np.broadcast_to(ramp, tuple(half_length(n) for n in shape)).copy()
    fine = upsample(coarse, shape)
    assert fine.shape == shape
    assert np.allclose(fine[:, 0, 0], np.arange(9))


@pytest.mark.parametrize("thickness", [1.0, 2.5, 6.0])
@pytest.mark.parametrize("shift", [0.0, -0.7])
def test_a_scanner_keeps_what_is_uniform(thickness, shift):
    matrix = scan_matrix(50, blur=0.6, thickness=thickness, shift=shift, phase=0.3, ghost=0.04)
    assert matrix.shape == (50, 50)
    assert np.allclose(matrix.sum(axis=1), 1, atol=1e-5)


def test_thick_slices_blur_along_their_axis_and_keep_position():
    line = np.exp(-0.5 * ((np.arange(60) - 30) / 4) ** 2)
    seen = scan_matrix(60, blur=0.4, thickness=5.0, phase=0.2) @ line
    assert seen.max() < line.max()
    assert np.sum(seen * np.arange(60)) / seen.sum() == pytest.approx(30, abs=0.7)


def test_a_shift_moves_the_image_by_that_many_voxels():
    line = np.exp(-0.5 * ((np.arange(40) - 20) / 3) ** 2)
    seen = scan_matrix(40, blur=0.2, shift=1.5) @ line
    assert np.sum(seen * np.arange(40)) / seen.sum() == pytest.approx(18.5, abs=0.05)


def test_a_smooth_step_is_clipped_and_symmetric():
    assert np.allclose(
        smoothstep(np.array([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 9.0])), [0, 0, 0.15625, 0.5, 0.84375, 1, 1]
    )
