"""The plan for a group of hospitals is computed from what was measured."""

import pytest

from benchmarks import plan
from benchmarks.outcome import Figure, Outcome
from benchmarks.parts import cluster
from training.errors import InputError

FIGURES = [
    Figure(cluster.GENERATE, 5.0),
    Figure(cluster.SEGMENT, 6.3),
    Figure(cluster.START, 4.0),
    Figure(cluster.WORKER_MEMORY, 2048.0, "MiB"),
    Figure(cluster.RAY_MEMORY, 512.0, "MiB"),
]
ABOUT = {"date": "2026-11-30", "machine": "two cores"}


def test_cores_and_memory_follow_from_the_seconds_and_memory_of_a_case(tmp_path):
    page = tmp_path / "cluster.md"
    page.write_text("before\n<!-- make bench: plan -->\nold\n<!-- end of make bench: plan -->\nafter\n")
    plan.write(page, ABOUT, Outcome(FIGURES))
    text = page.read_text()
    assert "| cases as they come | 1 | 2 GiB | 1.8 h |" in text
    plan.write(page, ABOUT, Outcome([*FIGURES, Figure(cluster.SEGMENT, 63.0)]))
    text = page.read_text()
    assert "| cases as they come | 5 | 10 GiB | 3.5 h |" in text
    assert "| all of a day again in one night | 3 | 6 GiB | 5.8 h |" in text
    assert ("old" in text, text.startswith("before"), text.endswith("after\n")) == (False, True, True)


def test_a_page_without_a_place_for_the_plan_is_refused(tmp_path):
    page = tmp_path / "cluster.md"
    page.write_text("nothing")
    with pytest.raises(InputError, match="plan"):
        plan.write(page, ABOUT, Outcome(FIGURES))
