"""The plan for a group of hospitals in ``docs/cluster.md``, computed from the figures of the benchmark ``cluster``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.outcome import Outcome
from benchmarks.parts.cluster import GENERATE, RAY_MEMORY, SEGMENT, START, WORKER_MEMORY
from training import atomic

#: The marker of the plan in the page.
PLAN = "plan"
SITES, CASES_A_DAY = 10, 1000
#: Share of the cases of a day that arrive in its busiest hour, and how busy the cores may be then: fuller, cases wait.
_BUSIEST_HOUR, _BUSY = 0.2, 0.7
#: Hours in which the cases of a day are segmented again at night, for instance with a new version.
_NIGHT_HOURS = 8
#: Four compressed volumes and a labelmap.
_MEGABYTES_A_CASE = 25


def write(document: Path, about: Mapping[str, Any], outcome: Outcome) -> None:
    """Replace the plan in the page.

    Args:
        document: ``docs/cluster.md``.
        about: From :func:`benchmarks.history.provenance`.
        outcome: Of the benchmark ``cluster``.

    Raises:
        InputError: If the page has no place for it.
    """
    atomic.write_text(document, page.put(document.read_text(encoding="utf-8"), PLAN, text(about, outcome)))


def text(about: Mapping[str, Any], outcome: Outcome) -> str:
    """Return the plan as Markdown."""
    found = {one.name: one.value for one in outcome.figures}
    seconds, memory = found[SEGMENT], found[WORKER_MEMORY] / 1024
    busiest = math.ceil(CASES_A_DAY * _BUSIEST_HOUR * seconds / 3600 / _BUSY)
    night = math.ceil(CASES_A_DAY * seconds / 3600 / _NIGHT_HOURS)
    return "\n".join(
        [
            f"Measured on {about['date']} on {about['machine']} (one thread a case): {seconds:.3g} s of one core and "
            f"{memory:.2g} GiB for a case that is segmented, {found[GENERATE]:.3g} s for a phantom; a Ray takes "
            f"{found[START]:.3g} s to start and {found[RAY_MEMORY] / 1024:.2g} GiB on each machine.",
            "",
            f"{SITES} sites, {CASES_A_DAY:,} cases a day, {100 * _BUSIEST_HOUR:.0f}% of them in the busiest hour, "
            f"cores busy {100 * _BUSY:.0f}% of it:",
            "",
            "| what | cores | memory of the workers | time of 1,000 cases on these cores |",
            "|---|---|---|---|",
            _row("cases as they come", busiest, seconds, memory),
            _row("all of a day again in one night", night, seconds, memory),
            "",
            f"Storage: about {CASES_A_DAY * _MEGABYTES_A_CASE / 1000:.0f} GB a day for four compressed volumes and a "
            f"labelmap each, {CASES_A_DAY * _MEGABYTES_A_CASE * 250 / 1e6:.1f} TB in a year of 250 days; read once, "
            f"{CASES_A_DAY * _BUSIEST_HOUR * _MEGABYTES_A_CASE / 3600:.1f} MB/s in the busiest hour.",
        ]
    )


def _row(what: str, cores: int, seconds: float, memory: float) -> str:
    hours = CASES_A_DAY * seconds / 3600 / cores
    return f"| {what} | {cores} | {max(1, round(cores * memory))} GiB | {hours:.1f} h |"
