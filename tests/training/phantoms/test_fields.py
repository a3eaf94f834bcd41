import numpy as np
import pytest

from training.phantoms.fields import half_length, scan_matrix, smooth_noise, smoothstep, upsample


@pytest.mark.parametrize("scale", [3, 9, 40])
def test_smooth_noise_has_unit_deviation_at_any_scale(scale):
    spread = [smooth_noise(np.random.default_rng(seed), (48, 56, 64), scale).std() for seed in range(24)]
    mean = np.sqrt(np.mean(np.square(spread)))
    assert (0.8 if scale < 20 else 0.4) < mean < 1.2  # a scale near the field's size varies little inside one field
    rough, smooth = (smooth_noise(np.random.default_rng(0), (40, 40, 40), scale) for scale in (3, 20))
    assert np.abs(np.diff(smooth, axis=0)).mean() < 0.3 * np.abs(np.diff(rough, axis=0)).mean()


@pytest.mark.parametrize("thickness", [1.0, 2.5, 6.0])
@pytest.mark.parametrize("shift", [0.0, -0.7])
def test_a_scanner_leaves_a_uniform_signal_unchanged(thickness, shift):
    matrix = scan_matrix(50, blur=0.6, thickness=thickness, shift=shift, phase=0.3, ghost=0.04)
    assert matrix.shape == (50, 50)
    assert np.allclose(matrix.sum(axis=1), 1, atol=1e-5)


def test_thick_slices_blur_in_place_a_shift_moves_the_image_and_upsampling_is_linear():
    line = np.exp(-0.5 * ((np.arange(60) - 30) / 4) ** 2)
    thick = scan_matrix(60, blur=0.4, thickness=5.0, phase=0.2) @ line
    assert thick.max() < line.max()
    assert np.sum(thick * np.arange(60)) / thick.sum() == pytest.approx(30, abs=0.7)
    stairs = scan_matrix(60, blur=0.4, thickness=5.0, phase=0.2, stairs=True) @ line
    assert np.mean(np.diff(stairs) == 0) > 0.7
    gains = scan_matrix(60, blur=0.4, thickness=5.0, stairs=True, gains=np.array([0.8, 1.0, 1.3])) @ np.ones(60)
    assert set(gains.round(4)) == {0.8, 1.0, 1.3}
    shifted = scan_matrix(60, blur=0.2, shift=1.5) @ line
    assert np.sum(shifted * np.arange(60)) / shifted.sum() == pytest.approx(28.5, abs=0.05)
    steps = smoothstep(np.array([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 9.0]))
    assert np.allclose(steps, [0, 0, 0.15625, 0.5, 0.84375, 1, 1])
    shape = (9, 10, 11)
    ramp = np.arange(half_length(9), dtype=np.float32)[:, None, None] * 2
    fine = upsample(np.broadcast_to(ramp, tuple(half_length(n) for n in shape)).copy(), shape)
    assert fine.shape == shape
    assert np.allclose(fine[:, 0, 0], np.arange(9))
