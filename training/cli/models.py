"""``models``: list, add, show, promote and roll back model versions."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from training.cli.common import ModelsOption, open_store, out, tell_how_to_use
from training.errors import InputError

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", help="List, add, show, promote and roll back models."
)


@app.command("list")
def list_versions(models: ModelsOption = None) -> None:
    """List the versions; the current one is marked."""
    store = open_store(models)
    try:
        current = store.current().id
    except InputError:
        current = ""
    table = Table("", "version", "parent", "created", "description", "verdict", title=str(store.root))
    for version in store.versions():
        card = version.card
        mark = "current" if version.id == current else ""
        table.add_row(mark, version.id, card.parent or "", card.created, card.description, card.verdict)
    out.print(table)
    for sentence in store.not_offered():
        out.print(sentence, soft_wrap=True)


@app.command()
def add(
    version: Annotated[str, typer.Argument(help="A folder with a version, or the id of a bundled model.")],
    models: ModelsOption = None,
) -> None:
    """Add a copy of a version under the next number; it is not promoted."""
    from training.models.bundle import model_folder
    from training.models.store import read_version

    found = read_version(model_folder(version))
    added = open_store(models).add(found.load_weights(), found.card)
    out.print(f"Stored as {added.id} in {added.folder}", soft_wrap=True)
    tell_how_to_use(added)


@app.command()
def show(
    version: Annotated[str | None, typer.Argument(help="For instance v0002. Default: the current one.")] = None,
    models: ModelsOption = None,
) -> None:
    """Print a version's card as JSON."""
    store = open_store(models)
    found = store.get(version) if version else store.current()
    out.print_json(found.card.model_dump_json())


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="For instance v0002.")],
    reason: Annotated[str, typer.Option(help="Reason, for the history.")] = "promoted by hand",
    models: ModelsOption = None,
) -> None:
    """Make a version the current one; a server that uses the same folder serves it from its next request on.

    The server prints its model folder at startup: give that with `--models`.
    """
    out.print(f"{open_store(models).promote(version, reason).id} is current.")


@app.command()
def rollback(models: ModelsOption = None) -> None:
    """Undo the last promotion."""
    out.print(f"{open_store(models).rollback().id} is current again.")
