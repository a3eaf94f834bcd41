import numpy as np

from training.images.grid import Grid, Volume
from training.skull_stripping.check import coverage_warnings, volume_problems


def mask_of(ml: float, axcodes: str = "RAS", cut: bool = False) -> Volume:
    """A ball of a volume in 2 mm voxels; cut: by the upper border of the image."""
    radius = (ml * 1000 * 3 / 4 / np.pi) ** (1 / 3)
    centers = np.indices((100, 100, 100)) * 2 - 99.0
    ball = np.linalg.norm(centers, axis=0) < radius
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    if cut:
        ball = ball[:, :, :60]
    for axis, (code, positive) in enumerate(zip(axcodes, "RAS", strict=True)):
        if code != positive:
            ball = np.flip(ball, axis)
            affine[axis, axis] = -2.0
    x, y, z = ball.shape
    return Volume(ball.astype(np.uint8), Grid((x, y, z), affine))


def test_a_mask_of_the_volume_of_a_brain_is_plausible_and_a_smaller_or_larger_one_is_not():
    for ml in (950, 1400, 1950):
        mask = mask_of(ml)
        assert volume_problems(mask) == ()
        assert coverage_warnings(mask) == ()
    for ml, words in ((700, "less than any whole brain (900 mL)"), (2100, "more than any brain (2000 mL)")):
        mask = mask_of(ml)
        (problem,) = volume_problems(mask)
        assert words in problem
    nothing = Volume(np.zeros((9, 9, 9), np.uint8), Grid((9, 9, 9), np.eye(4)))
    assert "0 mL" in volume_problems(nothing)[0]


def test_where_the_image_ends_inside_the_brain_is_told_by_its_anatomical_side_and_may_explain_a_small_volume():
    for axcodes in ("RAS", "LPI", "RPS"):
        mask = mask_of(1000, axcodes, cut=True)
        (warning,) = coverage_warnings(mask)
        assert "ends inside the brain at the top (" in warning
        assert np.count_nonzero(mask.data) * 0.008 < 900
        assert volume_problems(mask) == ()
    small = mask_of(250, cut=True)
    small.data[40:60, 40:60, -1] = 1
    assert "less than what an image must show of a brain (300 mL)" in volume_problems(small)[0]
