"""Augmentation: image and label move together, the outside stays 0, the same draw gives the same patch."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from training.fitting.augment import Chances, Orientation, augment, draw_orientation, vary_intensities

NEVER = Chances(0, 0, 0, 0, 0, 0, 0, 0)
ALWAYS = Chances(1, 1, 1, 1, 1, 1, 1, 1)


@pytest.fixture
def patch():
    rng = np.random.default_rng(1)
    brain = np.zeros((24, 24, 24), bool)
    brain[4:20, 3:21, 5:19] = True
    label = (rng.integers(0, 4, brain.shape) * brain).astype(np.uint8)
    image = rng.standard_normal((24, 24, 24, 4)).astype(np.float32) * brain[..., None]
    image[..., 0] = np.where(brain, label + 1, 0)  # the label can be read off the first modality
    return image, label


def test_every_turn_and_mirroring_undone_gives_the_patch_back(patch):
    image, _ = patch
    seen = set()
    for (i, j, k), (flip_i, flip_j, flip_k) in product(permutations(range(3)), product((False, True), repeat=3)):
        turned = Orientation((i, j, k), (flip_i, flip_j, flip_k)).apply(image)
        seen.add(turned[..., 1].tobytes())
        unmirrored = Orientation(mirrored=(flip_i, flip_j, flip_k)).apply(turned)
        back = [(i, j, k).index(axis) for axis in range(3)]
        assert np.array_equal(Orientation((back[0], back[1], back[2])).apply(unmirrored), image)
    assert len(seen) == 48


def test_a_turn_of_unequal_sides_ends_in_the_shape_asked_for():
    for seed in range(20):
        orientation = draw_orientation(np.random.default_rng(seed), ALWAYS)
        source = orientation.source_shape((5, 7, 9))
        assert orientation.apply(np.zeros(source)).shape == (5, 7, 9)
        assert orientation.apply(np.zeros((*source, 4))).shape == (5, 7, 9, 4)


def test_image_and_label_move_together(patch):
    image, label = patch
    only_geometry = Chances(0.5, 0.5, 1, 0, 0, 0, 0, 0)
    for seed in range(10):
        new_image, new_label = augment(np.random.default_rng(seed), image, label, only_geometry)
        assert np.array_equal(new_image[..., 0] > 0, new_image[..., 0] != 0)
        assert np.array_equal(new_image[..., 0][new_label > 0] - 1, new_label[new_label > 0])


def test_the_original_is_left_alone(patch):
    image, label = patch
    kept = image.copy(), label.copy()
    augment(np.random.default_rng(0), image, label, ALWAYS)
    assert np.array_equal(image, kept[0])
    assert np.array_equal(label, kept[1])


def test_outside_the_brain_everything_stays_zero(patch):
    image, _ = patch
    outside = ~np.any(image != 0, axis=-1)
    for seed in range(10):
        varied = vary_intensities(np.random.default_rng(seed), image.copy(), ALWAYS)
        assert not varied[outside].any()
        assert np.all(np.isfinite(varied))


def test_the_variation_is_mild(patch):
    image, _ = patch
    chances = Chances(dropout=0)
    for seed in range(20):
        varied = vary_intensities(np.random.default_rng(seed), image.copy(), chances)
        for channel in range(1, 4):
            assert np.corrcoef(varied[..., channel].ravel(), image[..., channel].ravel())[0, 1] > 0.9


def test_dropout_blanks_exactly_one_modality_about_as_often_as_asked(patch):
    image, _ = patch
    chances = Chances(0, 0, 0, 0, 0, 0, 0, dropout=0.3)
    blank = [
        int(np.sum(~vary_intensities(np.random.default_rng(seed), image.copy(), chances).any(axis=(0, 1, 2))))
        for seed in range(200)
    ]
    assert set(blank) == {0, 1}
    assert 0.2 < np.mean(blank) < 0.4


def test_nothing_asked_for_changes_nothing(patch):
    image, label = patch
    new_image, new_label = augment(np.random.default_rng(0), image, label, NEVER)
    assert np.array_equal(new_image, image)
    assert np.array_equal(new_label, label)


def test_the_same_draw_gives_the_same_patch(patch):
    image, label = patch
    one, other = (augment(np.random.default_rng(3), image, label, ALWAYS) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])


def test_a_patch_of_nothing_but_background_is_survived():
    nothing = np.zeros((16, 16, 16, 4), np.float32)
    assert not vary_intensities(np.random.default_rng(0), nothing, ALWAYS).any()
