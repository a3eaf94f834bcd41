"""``python -m server_app serve --studies DIR``: the server, without MONAI Label's command line.

MONAI Label writes logs and folders into the app's own folder; it gets one inside the workspace here, so that the
package may be installed read-only.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import types
from pathlib import Path
from typing import Annotated, Any

import typer

from server_app.access import oidc
from server_app.access.authentication import is_loopback
from server_app.access.startup_checks import check_tls, tokens_required
from server_app.access.users import Users
from server_app.common.cli_errors import exit_on_input_error
from server_app.operations.logs import LogFormat, log_config
from server_app.operations.run_record import RunRecord
from server_app.settings import Limits, ServerSettings
from server_app.workspace import Workspace
from training.cases.patient_file import read_patients
from training.errors import InputError
from training.models.store import ModelStore

_MAIN = '''"""Written by ``python -m server_app``: MONAI Label's entry point."""

import sys

if {root!r} not in sys.path:
    sys.path.insert(0, {root!r})

from server_app.app import TumorLoopApp
'''
#: Seconds that requests in progress have to finish when the server shuts down.
FINISH_SECONDS = 30


def serve(
    studies: Annotated[Path, typer.Option(help="Folder of cases; it is only read.", exists=True, file_okay=False)],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 chooses a free one.", min=0, max=65535)] = 8000,
    workspace: Annotated[Path | None, typer.Option(help="Folder for labels and models.")] = None,
    source_labels: Annotated[bool, typer.Option(help="Train on labels that came with the cases, too.")] = False,
    patients: Annotated[
        Path | None, typer.Option(help="CSV file with the columns case,patient, where names do not tell visits.")
    ] = None,
    conf: Annotated[list[str] | None, typer.Option(help="Other settings, as name=value; may be repeated.")] = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    require_token: Annotated[bool, typer.Option(help="Require a token from this machine, too.")] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate (chain) for https, as PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, as PEM without a password.")] = None,
    log_format: Annotated[LogFormat, typer.Option(help="Plain text, or one JSON object per line.")] = LogFormat.text,
) -> None:
    """Serve the cases of a folder.

    Example: python -m server_app --studies ~/cases --port 8000
    """
    with exit_on_input_error():
        settings = _settings(conf or [])
        if source_labels:
            settings["source_labels"] = "true"
        if patients or settings.get("patients"):
            listed = Path(patients or settings["patients"]).resolve()
            read_patients(listed)
            settings["patients"] = str(listed)
        folders = Workspace.for_studies(studies, workspace or settings.get("workspace")).make()
        settings["workspace"] = str(folders.root)
        checked = ServerSettings.from_conf(settings)
        ModelStore(folders.models, checked.model).initial()
        required = require_token or checked.require_token
        users = Users(folders.users_file)
        settings["require_token"] = str(tokens_required(host, users, required=required, oidc=oidc.is_enabled()))
        check_tls(tls_cert, tls_key)
        RunRecord(folders.run_record).check()
    port = port or _free_port(host)
    tls = {"ssl_certfile": str(tls_cert), "ssl_keyfile": str(tls_key)} if tls_cert else {}
    if not tls and not is_loopback(host):
        typer.secho("Warning: without --tls-cert and --tls-key, images and tokens are sent unencrypted.", err=True)
    address = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    typer.echo(f"TumorLoop serves {studies.resolve()} at {address}")
    typer.echo(f"Labels and models are kept in {folders.root} (for the command line: --models {folders.models})")
    sys.stdout.flush()
    app_folder = _app_folder(folders)
    _prepare(app_folder, studies.resolve(), settings, address)
    _listen(host, port, tls, log_config(app_folder, log_level.upper(), log_format))


def _listen(host: str, port: int, tls: dict[str, Any], logs: dict[str, Any]) -> None:
    import uvicorn

    from server_app.limits.connections import uvicorn_options

    uvicorn.run(
        "server_app.asgi:app",
        host=host,
        port=port,
        log_config=logs,
        access_log=False,  # ours has no addresses, which may contain anything
        timeout_graceful_shutdown=FINISH_SECONDS,
        **uvicorn_options(Limits.of_server()),
        **tls,
    )


def _prepare(app_folder: Path, studies: Path, conf: dict[str, str], address: str) -> None:
    """Do what MONAI Label's ``start_server`` does, for this process and those that it starts."""
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).resolve().parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    os.environ["MONAI_LABEL_APP_DIR"] = str(app_folder)
    os.environ["MONAI_LABEL_STUDIES"] = str(studies)
    os.environ["MONAI_LABEL_APP_CONF"] = json.dumps(conf)
    os.environ["MONAI_LABEL_SERVER_PORT"] = address.rpartition(":")[2]
    # MONAI Label imports tensorboard, which imports TensorFlow unless this module exists. The web process does not need
    # TensorFlow, which would cost seconds and hundreds of megabytes.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
    from monailabel.config import settings

    # It may have been imported already, with an earlier environment.
    settings.MONAI_LABEL_APP_DIR, settings.MONAI_LABEL_STUDIES = str(app_folder), str(studies)
    settings.MONAI_LABEL_APP_CONF, settings.MONAI_LABEL_SERVER_PORT = conf, int(address.rpartition(":")[2])
    # MONAI Label would allow any web page that is open in a browser on this machine to read and change everything here.
    # This cannot be an environment variable: MONAI Label's training process fails at startup if it finds it there.
    settings.MONAI_LABEL_CORS_ORIGINS = settings.MONAI_LABEL_CORS_ORIGINS or [address]
    os.environ.pop("MONAI_LABEL_CORS_ORIGINS", None)


def _app_folder(workspace: Workspace) -> Path:
    """Make the folder that MONAI Label uses as the app's."""
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


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
