"""The command line of ``make bench``."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import history, page, plots
from benchmarks.catalog import BENCHMARKS, Benchmark
from benchmarks.context import Context
from benchmarks.outcome import Outcome
from training import atomic
from training.cli.common import err, out, progress

_PAGE, _HISTORY = Path("docs/performance.md"), Path("benchmarks/history.jsonl")
#: What identifies the run that an interrupted one continues.
_SAME = ("commit", "machine", "cpu_limit", "libraries")


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A rough answer in minutes; no page, no history.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="One benchmark, or several: by the name of its file.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Forget what an interrupted run has measured.")] = False,
    work: Annotated[Path, typer.Option(help="Folder for everything temporary.")] = Path("build/bench"),
    output: Annotated[Path, typer.Option(help="The page whose generated parts are replaced.")] = _PAGE,
    record: Annotated[Path, typer.Option("--history", help="The file that gets a line.")] = _HISTORY,
) -> None:
    """Measure time and memory beside peers, and write the page.

    Close other programs first: about 15 minutes on two quiet cores. An interrupted run continues where it was, unless
    the code or the machine has changed. A run of all benchmarks writes the page and adds a line to the history; a part
    of them replaces its part of the page.
    """
    chosen = [one for one in BENCHMARKS if not only or one.key in only]
    unknown = set(only or ()) - {one.key for one in chosen}
    if unknown:
        known = ", ".join(one.key for one in BENCHMARKS)
        err.print(f"There is no benchmark {sorted(unknown)[0]!r}; there are {known}.")
        raise typer.Exit(2)
    load = os.getloadavg()[0]
    if load > 1:
        err.print(f"The machine is busy (load average {load:.1f}): times will be too long. Ratios hold better.")
    run = _Run(work, quick, again)
    outcomes = run.measure(chosen, load)
    if not quick:
        _write(output, run.about, run.load, chosen, outcomes)
        if len(chosen) == len(BENCHMARKS):
            history.append(record, history.record_of(run.about, outcomes, run.load))
    out.print(page.summary(run.about, run.load, chosen, outcomes), markup=False, soft_wrap=True)
    run.finish()


class _Run:
    """A run, which continues the one that was interrupted if nothing has changed since.

    Args:
        work: Its folder; holds ``state.json`` while it is not finished.
        quick: Whether a rough answer suffices.
        again: Whether to begin anew.
    """

    def __init__(self, work: Path, quick: bool, again: bool) -> None:
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

    def _measure(self, one: Benchmark, report: Any) -> Outcome:
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


def _write(
    output: Path, about: dict[str, Any], load: float, chosen: Sequence[Benchmark], outcomes: dict[str, Outcome]
) -> None:
    """Replace the parts of the page, and the plots beside it."""
    document = output.read_text(encoding="utf-8")
    for one in chosen:
        outcome, addresses = outcomes[one.key], {}
        for number, curve in enumerate(outcome.curves):
            picture = output.parent / "images" / f"performance-{one.key}-{number + 1}.png"
            addresses[curve.name] = f"images/{plots.draw(curve, picture).name}"
        document = page.put(document, one.key, page.table(outcome, addresses))
    if len(chosen) == len(BENCHMARKS):
        document = page.put(document, page.SUMMARY, page.summary(about, load, chosen, outcomes))
    atomic.write_text(output, document)
    err.print(f"Written: {output}", soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
