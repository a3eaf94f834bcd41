"""``python -m server_app users``: who may use a server from other machines."""

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
Name = Annotated[str, typer.Argument(help="Name of the user, for labels and the audit log.")]
Studies = Annotated[Path | None, typer.Option(help="Folder of cases of the server.", file_okay=False)]
WorkspaceOption = Annotated[Path | None, typer.Option(help="Workspace of the server, if not the default.")]

users = typer.Typer(
    no_args_is_help=True, help="Add, list and revoke the users of a server, which need not be restarted."
)


@users.command()
def add(
    name: Name,
    role: Annotated[RoleName, typer.Option(help="What they may do; each role includes those before it.")],
    studies: Studies = None,
    workspace: WorkspaceOption = None,
    days: Annotated[int | None, typer.Option(help="Days after which the token expires.", min=1)] = None,
) -> None:
    """Add a user and print their access token, which is shown only once and stored nowhere.

    Example: python -m server_app users add anna --role annotator --studies ~/cases
    """
    with exit_on_input_error():
        folders = _workspace(studies, workspace)
        token = Users(folders.users_file).add(name, ROLES[role.value], days=days)
        _record(folders, "users add", name, role.value)
    typer.secho(f"The access token of {name} ({role.value}), shown only this once:", err=True)
    typer.echo(token)


@users.command(name="list")
def list_users(studies: Studies = None, workspace: WorkspaceOption = None) -> None:
    """Print the users: name, role, state, when they were added and when their token expires."""
    with exit_on_input_error():
        found = Users(_workspace(studies, workspace).users_file).all()
    for user in found:
        typer.echo("\t".join((user.name, user.role, user.state, user.created, user.revoked or user.expires or "never")))
    if not found:
        typer.secho("There are no users.", err=True)


@users.command()
def revoke(name: Name, studies: Studies = None, workspace: WorkspaceOption = None) -> None:
    """End a user's access token, from the next request on."""
    with exit_on_input_error():
        folders = _workspace(studies, workspace)
        Users(folders.users_file).revoke(name)
        _record(folders, "users revoke", name)
    typer.secho(f"The access token of {name} is revoked.", err=True)


def _workspace(studies: Path | None, workspace: Path | None) -> Workspace:
    """Return the server's workspace."""
    if studies is None and workspace is None:
        raise InputError(
            "Name the server with --studies, or with --workspace if it was started with one.", field="studies"
        )
    folders = Workspace(workspace.expanduser().resolve()) if studies is None and workspace else None
    folders = folders or Workspace.for_studies(studies or Path(), workspace)
    folders.root.mkdir(parents=True, exist_ok=True)
    return folders


def _record(folders: Workspace, action: str, name: str, role: str | None = None) -> None:
    """Record the change of users in the server's audit log."""
    entry = {"user": f"{getpass.getuser()} (command line)", "event": "end", "route": action, "of": name, "as": role}
    AuditLog(folders.audit).append(entry, durable=True)
