"""Errors of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from training.errors import InputError


@contextmanager
def exit_on_input_error() -> Iterator[None]:
    """Exit with code 2 and the message of an :class:`InputError` that is raised inside the block."""
    try:
        yield
    except InputError as error:
        typer.secho(error.message, err=True, fg="red")
        raise typer.Exit(2) from None
