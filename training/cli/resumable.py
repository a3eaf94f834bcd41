"""Commands that take hours and resume from a work folder: their progress, and what they say after Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from training.cli.common import err, progress, warn
from training.cli.outcome import INTERRUPTED

if TYPE_CHECKING:
    from training.retraining.resumable import WorkProgress


@contextmanager
def work_progress() -> Iterator[Callable[[WorkProgress], None]]:
    """Show the progress of a run."""
    # Evaluations and training steps alternate: the speed is averaged over hours.
    with progress(over_seconds=6 * 3600) as bars:
        task = bars.add_task("preparing", total=None)

        def report(at: WorkProgress) -> None:
            if bars.tasks[task].total is None:  # the work of earlier runs does not count for the speed
                bars.reset(task, total=at.total, completed=at.done)
            bars.update(task, completed=at.done, description=at.message)
            if at.note:
                warn(at.note)

        yield report


@contextmanager
def told_when_stopped(message: str) -> Iterator[None]:
    """After Ctrl-C, print ``message`` and end the program."""
    try:
        yield
    except KeyboardInterrupt:
        err.print(message, soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
