"""``python -m server_app users``: who may use a server from elsewhere."""

from __future__ import annotations

import getpass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from server_app.access.audit import AuditLog
from server_app.access.users import Users
from server_app.common.cli_errors import exit_on_input_error
from server_app.common.identity import ROLES
from server_app.workspace import Workspace
from training.errors import InputError

RoleName = Enum("RoleName", {title: title for title in ROLES}, type=str)  # type: ignore[misc]
Name = Annotated[str, typer.Argument(help="Of the user, as labels and the audit log name them.")]
Studies = Annotated[Path | None, typer.Option(help="Folder of cases that the server serves.", file_okay=False)]
Place = Annotated[Path | None, typer.Option(help="The server's workspace, if it was started with one.")]

users = typer.Typer(no_args_is_help=True, help="Add, list and revoke the users of a server; it need not be restarted.")


@users.command()
def add(
    name: Name,
    role: Annotated[RoleName, typer.Option(help="What they may do; each role may do what those before it may.")],
    studies: Studies = None,
    workspace: Place = None,
    days: Annotated[int | None, typer.Option(help="Days after which the token ends.", min=1)] = None,
) -> None:
    """Add a user, and print their access token: only now, it is kept nowhere.

    Example: python -m server_app users add anna --role annotator --studies ~/cases
    """
    with exit_on_input_error():
        place = _place(studies, workspace)
        token = Users(place.users_file).add(name, ROLES[role.value], days=days)
        _record(place, "users add", name, role.value)
    typer.secho(f"The access token of {name} ({role.value}), shown only this once:", err=True)
    typer.echo(token)


@users.command(name="list")
def list_users(studies: Studies = None, workspace: Place = None) -> None:
    """Print the users: name, role, state, when they were added and when their token ends."""
    with exit_on_input_error():
        found = Users(_place(studies, workspace).users_file).all()
    for user in found:
        typer.echo("\t".join((user.name, user.role, user.state, user.created, user.revoked or user.expires or "never")))
    if not found:
        typer.secho("There are no users.", err=True)


@users.command()
def revoke(name: Name, studies: Studies = None, workspace: Place = None) -> None:
    """End a user's access token, from the next request on."""
    with exit_on_input_error():
        place = _place(studies, workspace)
        Users(place.users_file).revoke(name)
        _record(place, "users revoke", name)
    typer.secho(f"The access token of {name} is revoked.", err=True)


def _place(studies: Path | None, workspace: Path | None) -> Workspace:
    """Return the workspace of the server in question."""
    if studies is None and workspace is None:
        raise InputError("Name the server by --studies, or by --workspace if it was started with one.", field="studies")
    place = Workspace(workspace.expanduser().resolve()) if studies is None and workspace else None
    place = place or Workspace.for_studies(studies or Path(), workspace)
    place.root.mkdir(parents=True, exist_ok=True)
    return place


def _record(place: Workspace, deed: str, name: str, role: str | None = None) -> None:
    """Write down on the server's audit log who may use it from now on, or no more."""
    entry = {"user": f"{getpass.getuser()} (command line)", "event": "end", "route": deed, "of": name, "as": role}
    AuditLog(place.audit).append(entry, durable=True)
