"""``python -m server_app check``: whether everything that was stored is still there and unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from server_app.common.cli_errors import exit_on_input_error
from training.errors import InputError

_COLORS = {"error": "red", "warning": "yellow"}


def check(
    studies: Annotated[Path, typer.Option(help="The server's folder of cases.", exists=True, file_okay=False)],
    workspace: Annotated[Path | None, typer.Option(help="Folder of its labels and models.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Its setting model: the id of a bundled model, or the folder of a version.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check labels, uploads and models against their hashes; nothing is changed.

    The exit code is 0 if everything is intact, 1 if something is wrong, 2 if there is no workspace.

    Example: python -m server_app check --studies ~/cases
    """
    from server_app.integrity.integrity import check_workspace
    from server_app.workspace import Workspace
    from training.models import BUNDLED_MODELS
    from training.models.bundle import model_folder
    from training.models.store import ModelStore

    with exit_on_input_error():
        folders = Workspace.for_studies(studies, workspace)
        if not folders.labels.is_dir():
            raise InputError(f"There is no workspace at {folders.root}. Name it with --workspace.")
        models = ModelStore(folders.models, model_folder(model) if model else BUNDLED_MODELS)
    findings = check_workspace(studies.resolve(), folders, models)
    if as_json:
        typer.echo(json.dumps(findings.to_json(), indent=2))
    else:
        for finding in findings.found:
            typer.secho(f"{finding.severity}: {finding.what}: {finding.message}", fg=_COLORS[finding.severity])
        typer.echo(findings.summary())
    raise typer.Exit(0 if findings.sound else 1)
