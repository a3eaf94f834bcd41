"""Twelve cases in a row leave nothing behind; ``python -m tests.slicer_extension.panel.day`` goes through 200."""

import pytest

from tests.slicer_extension.panel.day import Reading, growth, work_through


@pytest.mark.parametrize("close", [True, False], ids=["scene closed", "next case"])
def test_cases_opened_and_closed_leave_nothing_behind_and_the_panel_as_fast_as_before(user, server, close):
    user.connect(server.url)
    readings = list(work_through(user, server, 12, close=close))
    assert growth(readings) == [], "\n".join(map(str, readings))


@pytest.mark.parametrize(
    ("step", "grown"),
    [
        (Reading(0.001, 0, 0, 0, 0), ""),
        (Reading(0.2, 0, 0, 0, 0), "megabytes"),
        (Reading(0, 0.01, 0, 0, 0), "milliseconds"),
        (Reading(0, 0, 1, 0, 0), "nodes"),
        (Reading(0, 0, 0, 1, 0), "observers"),
        (Reading(0, 0, 0, 0, 1), "objects"),
    ],
)
def test_what_grows_by_a_little_from_case_to_case_is_named(step, grown):
    readings = [Reading(*(100 * (n < 2) + n * by for by in step)) for n in range(202)]
    assert [one.partition(":")[0] for one in growth(readings)] == [grown] * bool(grown)
