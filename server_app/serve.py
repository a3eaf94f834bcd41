"""``python -m server_app serve --studies DIR``: the server, without MONAI Label's command line.

MONAI Label writes logs and folders into the app's own folder; this door gives it one inside the workspace instead,
so that the package may be installed read-only.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import types
from pathlib import Path
from typing import Annotated

import typer

from server_app.workspace import Workspace
from training.errors import InputError

_MAIN = '''"""Written by ``python -m server_app``: where MONAI Label finds the app."""

import sys

if {root!r} not in sys.path:
    sys.path.insert(0, {root!r})

from server_app.app import TumorLoopApp
'''
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def serve(
    studies: Annotated[Path, typer.Option(help="Folder of cases; only read.", exists=True, file_okay=False)],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8000,
    workspace: Annotated[Path | None, typer.Option(help="Where labels and models are kept.")] = None,
    source_labels: Annotated[bool, typer.Option(help="Learn from labels that came with the cases, too.")] = False,
    conf: Annotated[list[str] | None, typer.Option(help="More settings, as name=value; may be repeated.")] = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Serve the cases of a folder.

    Example: python -m server_app --studies ~/cases --port 8000
    """
    try:
        settings = _settings(conf or [])
        if source_labels:
            settings["source_labels"] = "true"
        place = Workspace.for_studies(studies, workspace or _path(settings.get("workspace"))).make()
        settings["workspace"] = str(place.root)
        _check_settings(settings)
    except InputError as error:
        typer.secho(error.message, err=True, fg="red")
        raise typer.Exit(2) from None
    port = port or _free_port(host)
    if host not in _LOOPBACK:
        typer.secho(f"Warning: everybody who reaches {host} can use this server; it asks for no password.", err=True)
    typer.echo(f"TumorLoop serves {studies.resolve()} at http://{host}:{port}")
    typer.echo(f"Labels and models are kept in {place.root} (for the command line: --models {place.models})")
    sys.stdout.flush()
    _run(_app_folder(place), studies.resolve(), settings, host, port, log_level.upper())


def _run(app_folder: Path, studies: Path, conf: dict[str, str], host: str, port: int, log_level: str) -> None:
    """Do what MONAI Label's ``start_server`` does, for its own process and those it starts."""
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).resolve().parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    os.environ["MONAI_LABEL_APP_DIR"] = str(app_folder)
    os.environ["MONAI_LABEL_STUDIES"] = str(studies)
    os.environ["MONAI_LABEL_APP_CONF"] = json.dumps(conf)
    os.environ["MONAI_LABEL_SERVER_PORT"] = str(port)
    # MONAI Label imports tensorboard, and that imports TensorFlow unless this module exists. The web process does not
    # need it: it would cost seconds and hundreds of megabytes.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
    import uvicorn
    from monailabel.config import settings
    from monailabel.utils.others.generic import init_log_config

    # MONAI Label would let any web page that is open in a browser on this machine read and change everything here. Not
    # by way of the environment: its training process fails at the start when it finds that variable there.
    settings.MONAI_LABEL_CORS_ORIGINS = settings.MONAI_LABEL_CORS_ORIGINS or [f"http://{host}:{port}"]
    os.environ.pop("MONAI_LABEL_CORS_ORIGINS", None)
    log_config = init_log_config(None, str(app_folder), "app.log", log_level)
    uvicorn.run("server_app.asgi:app", host=host, port=port, log_config=log_config, log_level=log_level.lower())


def _app_folder(workspace: Workspace) -> Path:
    """Make the folder that MONAI Label takes for the app's."""
    from training.atomic import write_text

    folder = workspace.root / "app"
    write_text(folder / "main.py", _MAIN.format(root=str(Path(__file__).resolve().parent.parent)))
    return folder


def _settings(pairs: list[str]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"--conf takes name=value, not {pair!r}.", field="conf")
        settings[name.strip()] = value.strip()
    return settings


def _check_settings(settings: dict[str, str]) -> None:
    from server_app.settings import ServerSettings

    ServerSettings.from_conf(settings)


def _path(value: str | None) -> Path | None:
    return Path(value) if value else None


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
