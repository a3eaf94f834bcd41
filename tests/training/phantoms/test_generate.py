from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tests.training import rejected
from training.phantoms import generate as generator
from training.phantoms.generate import generate
from training.phantoms.tumor import KINDS

T1, T1CE, T2, FLAIR = range(4)


@pytest.fixture(scope="module")
def patches():
    """Forty small phantoms: enough for every kind of tumor to occur."""
    return [generate(seed, (56, 56, 56)) for seed in range(40)]


def contrast(phantom, channel, value):
    """Mean of a label in a modality, over the mean of the tissue without tumor."""
    image = phantom.image[..., channel]
    return image[phantom.label == value].mean() / image[phantom.brain & (phantom.label == 0)].mean()


def test_a_seed_decides_a_phantom_and_every_kind_of_tumor_occurs(patches):
    again = generate(5, (56, 56, 56))
    assert np.array_equal(patches[5].image, again.image)
    assert np.array_equal(patches[5].label, again.label)
    assert not np.array_equal(patches[5].image, patches[6].image)
    healthy = [generate(seed, (80, 80, 80), tumor=False) for seed in range(5)]
    assert {phantom.kind for phantom in patches} == {*KINDS, "healthy"}
    assert {phantom.kind for phantom in healthy} == {"healthy"}
    for phantom in [*patches, *healthy]:
        assert (phantom.image.dtype, phantom.label.dtype) == (np.float32, np.uint8)
        assert np.all(np.isfinite(phantom.image))
        values = phantom.image[phantom.brain]
        assert np.all((values == 0) | (values >= 1))
        assert np.count_nonzero((values == 0).any(axis=0)) <= 1  # the series that does not cover the whole brain
        assert phantom.brain.any()
        assert not phantom.image[~phantom.brain].any()
        assert not phantom.label[~phantom.brain].any()
        assert phantom.label.max() <= 3
        assert phantom.label.any() == (phantom.kind != "healthy")
        assert not 0 < np.count_nonzero(phantom.label == 3) < 200  # the rim of a patch may cut some off
    covered = [phantom.image[phantom.brain].all() for phantom in patches]
    assert 0.7 < np.mean(covered) < 1
    # Vessels, sinuses and choroid plexus: without them, a network takes every bright spot for tumor.
    t1ce = [phantom.image[..., T1CE][phantom.brain] for phantom in healthy]
    assert np.median([np.mean(values > 1.35 * np.median(values)) for values in t1ce]) > 5e-4
    wrong: list[Any] = [(-1, None, "seed"), (0, (8, 64, 64), "shape"), (0, (64, 64), "shape")]
    for seed, shape, field in wrong:
        with rejected("", field):
            generate(seed, shape)


def test_a_phantom_does_not_depend_on_the_threads_of_blas():
    with threadpool_limits(2, user_api="blas"):
        again = generate(5, (56, 56, 56))
    with threadpool_limits(1, user_api="blas"):
        alone = generate(5, (56, 56, 56))
    assert np.array_equal(again.image, alone.image)


def test_a_small_tumor_has_a_small_core_and_every_label_its_contrast(patches):
    phantoms = [generate(seed, (64, 64, 64), tumor="small") for seed in range(8)]
    assert all(phantom.image.shape == (64, 64, 64, 4) for phantom in phantoms)
    cores = [np.count_nonzero((phantom.label == 1) | (phantom.label == 3)) / 1000 for phantom in phantoms]
    assert all(phantom.kind in KINDS for phantom in phantoms)
    assert max(cores) < 8  # a ball of 10 mm radius has 4.2 mL; satellites and dilation add to it
    assert np.median(cores) < 4
    assert min(cores) > 0.1
    for channel, value in ((FLAIR, 2), (T1CE, 3)):
        contrasts = [contrast(p, channel, value) for p in patches if np.count_nonzero(p.label == value) > 500]
        assert len(contrasts) > 10
        assert np.median(contrasts) > 1.25
    low = [p for p in patches if p.kind == "low" and min(np.sum(p.label == 1), np.sum(p.label == 2)) > 300]
    assert len(low) >= 3
    assert np.mean([contrast(p, T1, 1) / contrast(p, T1, 2) for p in low]) < 0.95
    assert np.mean([contrast(p, T2, 1) / contrast(p, T2, 2) for p in low]) > 1.05


def test_a_whole_head_has_the_right_size_and_may_hold_every_distractor_without_tumor(phantom_head, monkeypatch):
    assert 800 < phantom_head.brain.sum() / 1000 < 2000
    for axis in range(3):
        ends = np.take(phantom_head.brain, [0, -1], axis=axis)
        assert ends.sum() < 200  # below, the spinal cord ends where the atlas does
    assert np.array_equal(np.diag(phantom_head.affine), np.ones(4))
    middle = phantom_head.affine[:3, :3] @ (np.array(phantom_head.brain.shape) / 2) + phantom_head.affine[:3, 3]
    assert np.all(np.abs(middle) < 60)
    image = phantom_head.image[phantom_head.brain]
    fluid = image[:, T2] > np.percentile(image[:, T2], 96)
    tumor = phantom_head.label[phantom_head.brain] > 0
    for channel in (T1, T1CE, FLAIR):
        assert image[fluid & ~tumor, channel].mean() < image[~fluid & ~tumor, channel].mean()
    seen: list[str] = []
    draw = generator.draw_distractors

    def record(*arguments, **options):
        drawn = draw(*arguments, **options)
        seen.extend(item.kind for item in drawn)
        return drawn

    monkeypatch.setattr(generator, "draw_distractors", record)
    assert not generate(2, tumor=False, distractors="all").label.any()
    assert set(seen) >= {"vessel", "sinus", "choroid", "dura", "edge", "falx", "lesion", "flow"}
