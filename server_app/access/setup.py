"""Putting the layer around the app, with the settings that MONAI Label was started with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from server_app.access import oidc
from server_app.access.audit import AuditLog
from server_app.access.gate import Gate
from server_app.access.layer import AccessLayer
from server_app.access.users import Users
from server_app.settings import ServerSettings
from server_app.workspace import Workspace

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def access(app: ASGIApp) -> ASGIApp:
    """Make the layer; the innermost one, around MONAI Label's app itself."""
    from monailabel.app import app as web
    from monailabel.config import settings as stock

    own = ServerSettings.from_conf(stock.MONAI_LABEL_APP_CONF)
    place = Workspace.for_studies(Path(stock.MONAI_LABEL_STUDIES), own.workspace)
    gate = Gate(
        users=Users(place.users_file),
        required=own.require_token,
        origins=frozenset(str(origin).rstrip("/") for origin in stock.MONAI_LABEL_CORS_ORIGINS),
        oidc=oidc.identify if oidc.is_enabled() else None,
    )
    if gate.oidc is not None:
        oidc.install()
    else:
        from server_app.access import login

        web.router.routes[:0] = login.router(gate).routes
    return AccessLayer(app, gate, AuditLog(place.audit))
