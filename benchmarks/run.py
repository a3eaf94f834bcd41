"""A run of benchmarks: measured one after the other, resumed after an interruption, written into the page."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import history, page, plan, plots
from benchmarks.catalog import Benchmark
from benchmarks.context import Context
from benchmarks.outcome import Outcome
from training import atomic
from training.cli.common import err, progress

#: What identifies the run that an interrupted one continues.
_SAME = ("commit", "machine", "cpu_limit", "libraries")


class Run:
    """A run, which continues the one that was interrupted if nothing has changed since.

    Args:
        work: Its folder; holds ``state.json`` while it is not finished.
        quick: Whether a rough answer suffices.
        again: Whether to begin anew.
    """

    def __init__(self, work: Path, *, quick: bool = False, again: bool = False) -> None:
        self.about = history.provenance()
        self.load = 0.0
        self._work = work / ("quick" if quick else "full")
        self._quick = quick
        self._file = self._work / "state.json"
        self._done: dict[str, Outcome] = {}
        if not again:
            self._resume()

    def measure(self, chosen: Sequence[Benchmark], load: float) -> dict[str, Outcome]:
        """Measure what has not been measured."""
        self.load = self.load or load
        minutes = [one.minutes[self._quick] for one in chosen]
        with progress(over_seconds=1800) as bars:
            task = bars.add_task("", total=sum(minutes))
            before = 0.0
            for one, length in zip(chosen, minutes, strict=True):
                bars.update(task, description=one.key, completed=before)
                if one.key not in self._done:

                    def report(share: float, before: float = before, length: float = length) -> None:
                        bars.update(task, completed=before + share * length)

                    self._done[one.key] = self._measure(one, report)
                    self._save()
                before += length
                bars.update(task, completed=before)
        return {one.key: self._done[one.key] for one in chosen}

    def finish(self) -> None:
        """Forget the run: the next one begins anew."""
        self._file.unlink(missing_ok=True)

    def _measure(self, one: Benchmark, report: Callable[[float], None]) -> Outcome:
        folder = self._work / one.key
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        started = time.perf_counter()
        try:
            outcome = one.measure(Context(folder.resolve(), self._quick, report))
            return replace(outcome, seconds=round(time.perf_counter() - started, 1))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _resume(self) -> None:
        if not self._file.is_file():
            return
        state = json.loads(self._file.read_text(encoding="utf-8"))
        if any(state["about"][name] != self.about[name] for name in _SAME):
            return
        self.load = state["load"]
        self._done = {key: Outcome.from_json(content) for key, content in state["outcomes"].items()}
        err.print(f"Continuing: {', '.join(self._done)} measured before.")

    def _save(self) -> None:
        outcomes = {key: outcome.to_json() for key, outcome in self._done.items()}
        atomic.write_json(self._file, {"about": self.about, "load": self.load, "outcomes": outcomes})


def write_page(
    output: Path,
    about: Mapping[str, Any],
    load: float,
    chosen: Sequence[Benchmark],
    outcomes: Mapping[str, Outcome],
    *,
    complete: bool,
) -> None:
    """Replace the parts of the page that belong to benchmarks, and the plots beside it.

    Args:
        output: The page.
        about: From :func:`benchmarks.history.provenance`.
        load: Of the machine when the run began.
        chosen: The benchmarks.
        outcomes: By their keys.
        complete: Whether these are all: then the table of the bars is replaced as well.

    Raises:
        InputError: If the page lacks the markers of a part.
    """
    document = output.read_text(encoding="utf-8")
    for one in chosen:
        outcome = outcomes[one.key]
        addresses = {}
        for number, curve in enumerate(outcome.curves):
            picture = output.parent / "images" / f"performance-{one.key}-{number + 1}.png"
            addresses[curve.name] = f"images/{plots.draw(curve, picture).name}"
        document = page.put(document, one.key, page.table(outcome, addresses))
    if complete:
        document = page.put(document, page.SUMMARY, page.summary(about, load, chosen, outcomes))
    atomic.write_text(output, document)
    if "cluster" in outcomes:
        plan.write(output.parent / "cluster.md", about, outcomes["cluster"])
    err.print(f"Written: {output}", soft_wrap=True)
