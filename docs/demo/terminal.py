"""What the demo shows in the terminal: a spinner per step, a bar for the training, two tables at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.status import Status
from rich.table import Table

from docs.demo.record import CaseRecord, LoopRecord
from training.labels import REGIONS


class Step:
    """A step in progress; ``note`` is shown next to it when it is done."""

    def __init__(self, title: str, status: Status) -> None:
        self._title = title
        self._status = status
        self.note = ""

    def sending(self, done: int, total: int) -> None:
        """Show how much of a file was sent; fits the client's ``progress``."""
        self._status.update(f"{escape(self._title)} ... {done / max(total, 1):.0%} of {total / 1e6:.1f} MB")


class TrainingBar:
    """A progress bar over the epochs of a training run; where the output is not a terminal, a line per epoch."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("starting", total=None)
        self._printed = 0

    def show(self, stats: Mapping[str, Any]) -> None:
        """Show the server's live numbers."""
        total = int(stats.get("total_epochs") or 0)
        epoch = int(stats.get("epoch") or 0)
        text = escape(describe_training(stats))
        if epoch > self._printed and not self._progress.console.is_terminal:
            self._printed = epoch
            self._progress.console.print(f"  epoch {epoch} of {total}: {text}", soft_wrap=True)
        self._progress.update(self._task, total=total or None, completed=epoch, description=text)


def describe_training(stats: Mapping[str, Any]) -> str:
    """Put a training run's live numbers into a line: loss, validation Dice, time left, or what it is doing."""
    parts = []
    if (loss := (stats.get("train") or {}).get("loss")) is not None:
        parts.append(f"loss {loss:.3f}")
    if (dice := (stats.get("eval") or {}).get("mean")) is not None:
        parts.append(f"validation Dice {dice:.3f}")
    if (left := stats.get("eta") or 0) > 0:
        parts.append(f"{left:.0f} s left")
    return " · ".join(parts) or str(stats.get("message") or "starting")


class Terminal:
    """Writes to one console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def print(self, text: str) -> None:
        """Write a line of plain text."""
        self._console.print(escape(text), highlight=False)

    @contextmanager
    def step(self, title: str, record: LoopRecord, *, spinner: bool = True) -> Iterator[Step]:
        """Show a spinner while something is done, then a line with the time it took, which is recorded."""
        started = time.perf_counter()
        status = self._console.status(escape(title))
        step = Step(title, status)
        with status if spinner else nullcontext():
            yield step
        seconds = time.perf_counter() - started
        record.steps.append((title, seconds))
        note = f" [dim]{escape(step.note)}[/dim]" if step.note else ""
        line = f"[green]✓[/green] {escape(title)}{note} [dim]{seconds:.1f} s[/dim]"
        self._console.print(line, highlight=False, soft_wrap=True)

    @contextmanager
    def training(self) -> Iterator[TrainingBar]:
        """Show a bar while the server trains."""
        columns = (SpinnerColumn(), BarColumn(24), MofNCompleteColumn(), TextColumn("epochs · {task.description}"))
        with Progress(*columns, TimeElapsedColumn(), console=self._console, transient=True) as progress:
            yield TrainingBar(progress)

    def tables(self, record: LoopRecord) -> None:
        """Show Dice before and after, and the time of each step."""
        table = Table(title="Dice against the true label", title_justify="left", pad_edge=False)
        table.add_column("case")
        table.add_column("result")
        for name in (*REGIONS, "mean", "seconds"):
            table.add_column(name, justify="right")
        for case in (*record.cases, *record.controls):
            _add_rows(table, case)
        self._console.print(table)
        times = Table(title="Time per step", title_justify="left", pad_edge=False)
        times.add_column("step")
        times.add_column("seconds", justify="right")
        for name, seconds in record.steps:
            times.add_row(escape(name), f"{seconds:.1f}")
        times.add_section()
        times.add_row("total", f"{sum(seconds for _, seconds in record.steps):.1f}")
        self._console.print(times)


def _add_rows(table: Table, case: CaseRecord) -> None:
    title = escape(case.case.id if case.label_version else f"{case.case.id} (not corrected)")
    for name, result in (("before", case.before), ("after", case.after)):
        if result is not None:
            values = [f"{value:.3f}" for value in (*(result.dice[region] for region in REGIONS), result.mean_dice)]
            style = "bold green" if name == "after" and case.improved else None
            row = [title if name == "before" else "", f"{name} ({result.version})", *values, f"{result.seconds:.1f}"]
            table.add_row(*row, style=style, end_section=name == "after")
