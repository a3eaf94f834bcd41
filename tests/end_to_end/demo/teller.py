"""What the demo shows in the terminal: a spinner per step, a bar for the training, a table at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.status import Status
from rich.table import Table

from tests.end_to_end.demo.record import Answer, CaseRecord, LoopRecord
from training.labels import REGIONS


class Step:
    """A step under way; ``note`` is shown beside it when it is done."""

    def __init__(self, title: str, status: Status) -> None:
        self._title = title
        self._status = status
        self.note = ""

    def sending(self, done: int, total: int) -> None:
        """Show how much of a file is on its way; fits the client's ``progress``."""
        self._status.update(f"{escape(self._title)} ... {done / max(total, 1):.0%} of {total / 1e6:.1f} MB")


class TrainingBar:
    """A progress bar over the epochs of a training; where the output is no terminal, a line per epoch."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("starting", total=None)
        self._told = 0

    def show(self, stats: dict[str, Any]) -> None:
        """Bring the bar up to date with the server's live numbers."""
        total = int(stats.get("total_epochs") or 0)
        epoch = int(stats.get("epoch") or 0)
        if epoch > self._told and not self._progress.console.is_terminal:
            self._told = epoch
            self._progress.console.print(
                f"  epoch {epoch} of {total}: {escape(describe_training(stats))}", soft_wrap=True
            )
        self._progress.update(
            self._task,
            total=total or None,
            completed=epoch,
            description=escape(describe_training(stats)),
        )


def describe_training(stats: dict[str, Any]) -> str:
    """Put a training's live numbers into a line: loss, validation Dice, time to go, or what it is doing."""
    parts = []
    loss = _number(stats.get("train"), "loss")
    if loss is not None:
        parts.append(f"loss {loss:.3f}")
    validation = _number(stats.get("eval"), "mean", "dice", "mean_dice")
    if validation is not None:
        parts.append(f"validation Dice {validation:.3f}")
    eta = stats.get("eta")
    if isinstance(eta, (int, float)) and eta > 0:
        parts.append(f"{eta:.0f} s to go")
    message = str(stats.get("message") or "")
    return " · ".join(parts) if parts else message or "starting"


class Teller:
    """Writes to one console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def say(self, text: str) -> None:
        """Write a line of plain text."""
        self.console.print(escape(text), highlight=False)

    @contextmanager
    def step(self, title: str, record: LoopRecord, *, spinner: bool = True) -> Iterator[Step]:
        """Show a spinner while something is done, then a line with the time it took, which is recorded."""
        started = time.perf_counter()
        status = self.console.status(escape(title))
        step = Step(title, status)
        with status if spinner else nullcontext():
            yield step
        seconds = time.perf_counter() - started
        record.steps.append((title, seconds))
        note = f" [dim]{escape(step.note)}[/dim]" if step.note else ""
        self.console.print(
            f"[green]✓[/green] {escape(title)}{note} [dim]{seconds:.1f} s[/dim]", highlight=False, soft_wrap=True
        )

    @contextmanager
    def training(self) -> Iterator[TrainingBar]:
        """Show a bar while the server trains."""
        columns = (SpinnerColumn(), BarColumn(24), MofNCompleteColumn(), TextColumn("epochs · {task.description}"))
        with Progress(*columns, TimeElapsedColumn(), console=self.console, transient=True) as progress:
            yield TrainingBar(progress)

    def table(self, record: LoopRecord) -> None:
        """Show Dice before and after, and the time of each step."""
        table = Table(title="Dice against the truth", title_justify="left", pad_edge=False)
        table.add_column("case")
        table.add_column("answer")
        for name in (*REGIONS, "mean"):
            table.add_column(name, justify="right")
        table.add_column("seconds", justify="right")
        for case in (*record.cases, *record.controls):
            if case.truth is not None:
                _add_rows(table, case)
        self.console.print(table)
        times = Table(title="Time per step", title_justify="left", pad_edge=False)
        times.add_column("step")
        times.add_column("seconds", justify="right")
        for name, seconds in record.steps:
            times.add_row(escape(name), f"{seconds:.1f}")
        times.add_section()
        times.add_row("together", f"{sum(seconds for _, seconds in record.steps):.1f}")
        self.console.print(times)


def _add_rows(table: Table, case: CaseRecord) -> None:
    answers: list[tuple[str, Answer]] = [("before", case.before)]
    if case.after is not None:
        answers.append(("after", case.after))
    about = case.case.id if case.label_version else f"{case.case.id} (not corrected)"
    for name, answer in answers:
        values = [f"{answer.dice[region]:.3f}" for region in REGIONS]
        label = escape(about) if name == "before" else ""
        style = "bold green" if name == "after" and case.improved else None
        row = [label, f"{name} ({answer.version})", *values, f"{answer.mean_dice:.3f}", f"{answer.seconds:.1f}"]
        table.add_row(*row, style=style, end_section=name == "after")


def _number(group: Any, *names: str) -> float | None:
    if not isinstance(group, dict):
        return None
    for name in names:
        if isinstance(group.get(name), (int, float)):
            return float(group[name])
    return None
