"""The plot of corrections as geometry, and the sentence below it."""

import itertools

import pytest
from TumorLoopLib.jobs.corrections import CorrectedCase, Corrections, VersionSummary
from TumorLoopLib.panel.correction_plot import correction_plot, corrections_text, dice_scale

CASES = (
    CorrectedCase("v0001", 0.7, 8.0, 4.0),
    CorrectedCase("v0001", 0.8, 600.0),
    CorrectedCase("v0002", 0.9, 4.0, 2.0),
    CorrectedCase("v0001", 1.0, 4.0, 1.0),
)


def test_cases_lie_in_their_order_inside_the_plot_and_a_better_one_lies_higher():
    plot = correction_plot(Corrections(CASES), 340, 160)
    assert 0 < plot.left < plot.right < 340
    assert 0 < plot.top < plot.bottom < 160
    for x, y in (*plot.dice, *plot.minutes):
        assert plot.left < x < plot.right
        assert plot.top <= y <= plot.bottom
    assert [x for x, _ in plot.dice] == sorted(x for x, _ in plot.dice)
    heights = [y for _, y in plot.dice]
    assert heights == sorted(heights, reverse=True)  # pixels count from above
    assert (plot.dice[0][1], plot.dice[-1][1]) == (plot.bottom, plot.top)
    assert [tick.text for tick in plot.dice_ticks] == ["0.7", "0.8", "0.9", "1.0"]
    assert [tick.at for tick in plot.case_ticks] == [x for x, _ in plot.dice]


def test_minutes_of_editing_are_drawn_where_they_are_known_and_those_until_the_submission_only_without_any():
    plot = correction_plot(Corrections(CASES), 340, 160)
    assert [x for x, _ in plot.minutes] == [plot.dice[at][0] for at in (0, 2, 3)]
    assert plot.minute_ticks[-1].text == "4"
    assert plot.minutes[0][1] == plot.top
    without = tuple(CorrectedCase(case.version, case.dice, case.minutes) for case in CASES)
    plot = correction_plot(Corrections(without), 340, 160)
    assert len(plot.minutes) == 4
    assert plot.minute_ticks[-1].text == "40+"  # ten hours, a night in between, would flatten the rest
    assert plot.minutes[1][1] == plot.top
    bare = correction_plot(Corrections((CorrectedCase("v0001", 0.5), CorrectedCase("v0001", 0.6))), 340, 160)
    assert (bare.minutes, bare.minute_ticks) == ((), ())


def test_a_line_stands_before_the_first_case_of_each_version_and_names_do_not_overlap():
    plot = correction_plot(Corrections(CASES), 340, 160)
    assert [mark.text for mark in plot.versions] == ["v0001", "v0002"]
    assert plot.versions[0].at == plot.left
    assert plot.dice[1][0] < plot.versions[1].at < plot.dice[2][0]
    many = tuple(CorrectedCase(f"v{number:04d}", 0.8) for number in range(1, 41))
    plot = correction_plot(Corrections(many), 340, 160)
    named = [mark.at for mark in plot.versions if mark.text]
    assert len(plot.versions) == 40
    assert all(later - earlier >= 40 for earlier, later in itertools.pairwise(named))
    assert all(plot.left <= tick.at <= plot.right for tick in plot.case_ticks)


@pytest.mark.parametrize("lowest", [0.0, 0.19, 0.2, 0.49, 0.5, 0.61, 0.7, 0.99, 1.0])
def test_the_axis_of_the_dice_begins_at_a_step_of_its_grid_below_the_lowest_value(lowest):
    floor, step = dice_scale(lowest)
    assert 0 <= floor <= lowest
    assert (1.0 - floor) / step == pytest.approx(round((1.0 - floor) / step))
    assert lowest - floor < step or floor == 0.8


def test_the_text_compares_the_newest_versions_and_the_first():
    first, second = VersionSummary("v0001", 4, 0.81, 6.0), VersionSummary("v0002", 1, 0.861, 4.24)
    cases = tuple(CorrectedCase("v0001", 0.81, 6.0) for _ in range(5))
    assert corrections_text(Corrections(cases, (first, second))).splitlines() == [
        "Model against submitted labels, time until submission:",
        "v0002: 1 case, Dice 0.86, median 4.2 min",
        "v0001: 4 cases, mean Dice 0.81, median 6.0 min",
    ]
    more = (first, second, VersionSummary("v0003", 2, 0.9), VersionSummary("v0004", 2, 0.92, None, 1.0))
    edited = (*cases, CorrectedCase("v0004", 0.92, None, 1.0))
    assert corrections_text(Corrections(edited, more)).splitlines() == [
        "Model against submitted labels, time of editing:",
        "v0004: 2 cases, mean Dice 0.92, median 1.0 min",
        "v0003: 2 cases, mean Dice 0.90",
        "v0001: 4 cases, mean Dice 0.81",
    ]
    assert corrections_text(Corrections(cases[:1], (first,))) == ""
