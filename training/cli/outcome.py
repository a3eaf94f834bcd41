"""The end of a command over several cases: nothing is overwritten unasked, and what failed is told in a table.

One unusable case does not end a cohort. Exit codes: 0 if all cases succeeded, 1 if some failed, 2 if there was none to
begin with or none succeeded, 130 after Ctrl-C, which keeps the results of the finished cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from training.cli.common import err, out
from training.errors import InputError

if TYPE_CHECKING:
    from training.cases.case import Case

#: Exit code of a program ended by Ctrl-C.
INTERRUPTED = 130
_NAMED = 5

OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist already.")]


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """Refuse to write files that exist; call it before anything is computed.

    Raises:
        InputError: If one of them exists, or two results have the same name, unless ``overwrite``; names the files.
    """
    planned = list(paths)
    repeated = sorted({path for path in planned if planned.count(path) > 1}) if len(set(planned)) < len(planned) else []
    if repeated:
        raise InputError(f"Two results would be written to {repeated[0]}. Rename one of the cases.", field="output")
    existing = [path for path in planned if path.exists() or path.is_symlink()]
    if existing and not overwrite:
        more = f" and {len(existing) - _NAMED} more" if len(existing) > _NAMED else ""
        named = ", ".join(map(str, existing[:_NAMED])) + more
        raise InputError(
            f"Already there: {named}. Nothing was written. Choose another place, or add --overwrite to replace them.",
            field="output",
        )


@dataclass
class Failures:
    """The cases of one command that could not be used, and why.

    Attributes:
        total: Number of cases of the command; a failure is told at once if there are several.
    """

    total: int = 1
    entries: list[tuple[str, InputError]] = field(default_factory=list)

    def add(self, name: str, error: InputError) -> None:
        """Note that a case failed."""
        self.entries.append((name, error))
        if self.total > 1:
            err.print(f"{name} failed: {error.message}", style="red", markup=False, soft_wrap=True)

    @contextmanager
    def caught(self, case: Case) -> Iterator[None]:
        """Note an error of one case instead of raising it."""
        try:
            yield
        except InputError as error:
            message = error.message.replace(f"{case.folder}/", "") if case.folder else error.message
            self.add(case.id, InputError(message if self.total > 1 else error.message, field=error.field))
        except (OSError, MemoryError) as error:
            self.add(case.id, InputError(f"{type(error).__name__}: {error or 'not enough memory'}"))

    def each(self, cases: Sequence[Case], work: Callable[[int, Case], None]) -> tuple[int, bool]:
        """Do the work for each case; return how many succeeded, and whether Ctrl-C ended it.

        Args:
            cases: The cases.
            work: Called with the index and the case.
        """
        return self.take((case, partial(work, number, case)) for number, case in enumerate(cases))

    def take(self, answers: Iterable[tuple[Case, Callable[[], object]]]) -> tuple[int, bool]:
        """Take the answer for each case; return how many succeeded, and whether Ctrl-C ended it.

        Args:
            answers: Each case with a function that returns its answer or raises its error.
        """
        done = 0
        try:
            for case, answer in answers:
                with self.caught(case):
                    answer()
                    done += 1
        except KeyboardInterrupt:
            return done, True
        return done, False

    def finish(self, done: int, what: str, *, stopped: bool = False) -> None:
        """Print the table of the failed cases, and end the command with the exit code that says so.

        Args:
            done: Number of cases that succeeded.
            what: What happened to them, for the title: "segmented".
            stopped: Whether Ctrl-C ended the command.

        Raises:
            InputError: If the only case failed.
            typer.Exit: With 1, 2 or 130; returns if nothing failed.
        """
        if self.entries and not done and len(self.entries) == self.total == 1:
            raise self.entries[0][1]
        if self.entries:
            table = Table(title=f"Not {what}: {len(self.entries)} of {self.total}")
            table.add_column("case", overflow="fold")
            table.add_column("why", overflow="fold")
            for name, error in self.entries:
                table.add_row(escape(name), escape(error.message))
            out.print(table)
        if stopped:
            err.print(f"Stopped: {done} of {self.total} cases are {what}; these results are complete.")
            raise typer.Exit(INTERRUPTED)
        if self.entries:
            raise typer.Exit(1 if done else 2)
