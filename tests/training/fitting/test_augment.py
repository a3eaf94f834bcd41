from itertools import permutations, product

import numpy as np

from training.fitting.augment import AugmentationProbabilities, Orientation, draw_orientation, vary_intensities

NEVER = AugmentationProbabilities(0, 0, 0, 0, 0, 0, 0, 0)
ALWAYS = AugmentationProbabilities(1, 1, 1, 1, 1, 1, 1, 1)
BRAIN = np.zeros((24, 24, 24), bool)
BRAIN[4:20, 3:21, 5:19] = True
IMAGE = np.random.default_rng(1).standard_normal((24, 24, 24, 4)).astype(np.float32) * BRAIN[..., None]


def varied(seed: int, chances: AugmentationProbabilities) -> np.ndarray:
    return vary_intensities(np.random.default_rng(seed), IMAGE.copy(), chances)


def test_all_48_orientations_differ_can_be_undone_and_give_the_requested_shape():
    seen = set()
    for (i, j, k), (flip_i, flip_j, flip_k) in product(permutations(range(3)), product((False, True), repeat=3)):
        turned = Orientation((i, j, k), (flip_i, flip_j, flip_k)).apply(IMAGE)
        seen.add(turned[..., 1].tobytes())
        unmirrored = Orientation(mirrored=(flip_i, flip_j, flip_k)).apply(turned)
        back = [(i, j, k).index(axis) for axis in range(3)]
        assert np.array_equal(Orientation((back[0], back[1], back[2])).apply(unmirrored), IMAGE)
    assert len(seen) == 48
    for seed in range(20):
        orientation = draw_orientation(np.random.default_rng(seed), ALWAYS)
        source = orientation.source_shape((5, 7, 9))
        assert orientation.apply(np.zeros((*source, 4))).shape == (5, 7, 9, 4)


def test_the_background_stays_0_probabilities_hold_and_the_same_seed_gives_the_same_patch():
    shaded, mild = AugmentationProbabilities(dropout=0), AugmentationProbabilities(bias=0, dropout=0)
    for seed in range(20):
        image = varied(seed, ALWAYS)
        assert not image[~BRAIN].any()
        assert np.all(np.isfinite(image))
        for chances, least in ((mild, 0.9), (shaded, 0.6)):
            after = varied(seed, chances)
            for channel in range(4):
                assert np.corrcoef(IMAGE[..., channel].ravel(), after[..., channel].ravel())[0, 1] > least
    assert not vary_intensities(np.random.default_rng(0), np.zeros((16, 16, 16, 4), np.float32), ALWAYS).any()
    chances = AugmentationProbabilities(0, 0, 0, 0, 0, 0, 0, dropout=0.3)
    blank = [int(np.sum(~varied(seed, chances).any(axis=(0, 1, 2)))) for seed in range(200)]
    assert set(blank) == {0, 1, 2}
    assert 0.2 < np.mean(np.array(blank) > 0) < 0.4
    missing = {tuple(np.flatnonzero(~varied(seed, chances).any(axis=(0, 1, 2)))) for seed in range(200)}
    assert {(0,), (1,), (2,), (3,), (0, 2)} <= missing  # T1ce and FLAIR alone, too
    assert draw_orientation(np.random.default_rng(0), NEVER) == Orientation()
    assert np.array_equal(varied(0, NEVER), IMAGE)
    assert np.array_equal(varied(3, ALWAYS), varied(3, ALWAYS))
    one, other = (draw_orientation(np.random.default_rng(3), ALWAYS) for _ in range(2))
    assert one == other
