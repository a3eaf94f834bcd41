"""The training curve as geometry: where points and labels lie."""

import pytest
from TumorLoopLib.jobs.server_status import Epoch
from TumorLoopLib.panel.curve import curve_of, nice_ceiling, tick_numbers

EPOCHS = (Epoch(1, 0.8), Epoch(2, 0.4, 0.5), Epoch(3, 0.2, 1.0))


def test_a_falling_loss_falls_and_a_rising_dice_rises_inside_the_plot_whose_width_belongs_to_all_epochs():
    curve = curve_of(EPOCHS, 3, 340, 150)
    assert 0 < curve.left < curve.right < 340
    assert 0 < curve.top < curve.bottom < 150
    for x, y in (*curve.loss, *curve.dice):
        assert curve.left <= x <= curve.right
        assert curve.top <= y <= curve.bottom
    heights = [y for _, y in curve.loss]
    assert heights == sorted(heights)  # pixels count from above
    (_, half), (_, full) = curve.dice  # one epoch was not validated
    assert full == curve.top  # a Dice of 1 touches the upper edge
    assert half == pytest.approx((curve.top + curve.bottom) / 2)
    assert curve.loss[2][0] == curve.right
    early, late = curve_of(EPOCHS[:1], 10, 340, 150), curve_of(EPOCHS, 10, 340, 150)
    assert early.loss[0][0] == late.loss[0][0]
    assert late.loss[-1][0] < late.right
    tiny = curve_of((Epoch(1, float(10**9), 3.0),), 1, 10, 10)  # and a Dice above the scale
    assert tiny.right > tiny.left
    assert tiny.bottom > tiny.top
    assert curve_of((), 0, 340, 150).loss == ()


def test_the_scale_ends_a_little_above_the_largest_value_and_the_last_of_a_few_epochs_has_a_label():
    for value in (0.013, 0.2, 0.61, 1.0, 7.3, 99.0):
        assert value <= nice_ceiling(value) <= 2.5 * value
    for last in (1, 2, 5, 6, 7, 13, 40, 99, 1000):
        numbers = tick_numbers(last)
        assert numbers == sorted(set(numbers))
        assert (numbers[-1], 1 <= len(numbers) <= 6) == (last, True)
