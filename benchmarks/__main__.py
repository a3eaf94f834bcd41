"""The command line of ``make bench``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import history, page
from benchmarks.catalog import BENCHMARKS
from benchmarks.run import Run, write_page
from training.cli.common import err, out

_PAGE, _HISTORY = Path("docs/performance.md"), Path("benchmarks/history.jsonl")


def main(
    quick: Annotated[bool, typer.Option("--quick", help="A rough answer in minutes; no page, no history.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="One benchmark, or several: by the name of its file.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Forget what an interrupted run has measured.")] = False,
    work: Annotated[Path, typer.Option(help="Folder for everything temporary.")] = Path("build/bench"),
    output: Annotated[Path, typer.Option(help="The page whose generated parts are replaced.")] = _PAGE,
    record: Annotated[Path, typer.Option("--history", help="The file that gets a line.")] = _HISTORY,
) -> None:
    """Measure time and memory beside peers, and write the page.

    Close other programs first: about 22 minutes on two quiet cores. An interrupted run continues where it was, unless
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
    run = Run(work, quick=quick, again=again)
    outcomes = run.measure(chosen, load)
    if not quick:
        complete = len(chosen) == len(BENCHMARKS)
        write_page(output, run.about, run.load, chosen, outcomes, complete=complete)
        if complete:
            history.append(record, history.record_of(run.about, outcomes, run.load))
    out.print(page.summary(run.about, run.load, chosen, outcomes), markup=False, soft_wrap=True)
    for one in chosen:
        out.print(f"\n{one.title}\n\n{page.table(outcomes[one.key], {})}", markup=False, soft_wrap=True)
    run.finish()


if __name__ == "__main__":
    typer.run(main)
