"""Access control around the app, with the settings that MONAI Label was started with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from server_app.access import oidc
from server_app.access.audit import AuditLog
from server_app.access.authentication import Authenticator
from server_app.access.middleware import AccessMiddleware
from server_app.access.redact import hide_tokens
from server_app.access.users import Users
from server_app.api.mounting import put_first
from server_app.settings import ServerSettings
from server_app.workspace import Workspace

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def access(app: ASGIApp) -> ASGIApp:
    """Make the middleware; the innermost one, around MONAI Label's app itself."""
    from monailabel.config import settings as stock
    from monailabel.endpoints.user import auth

    from server_app.api import login

    own = ServerSettings.from_conf(stock.MONAI_LABEL_APP_CONF)
    workspace = Workspace.for_studies(Path(stock.MONAI_LABEL_STUDIES), own.workspace)
    authenticator = Authenticator(
        users=Users(workspace.users_file),
        required=own.require_token,
        origins=frozenset(str(origin).rstrip("/") for origin in stock.MONAI_LABEL_CORS_ORIGINS),
        oidc=oidc.identify if oidc.is_enabled() else None,
    )
    # MONAI Label's endpoints call this function for the user of a request; its own knows only "admin".
    auth.from_token = oidc.user_of if authenticator.oidc is not None else login.stock_user
    if authenticator.oidc is None:
        put_first(login.router(authenticator))
    hide_tokens()
    return AccessMiddleware(app, authenticator, AuditLog(workspace.audit))
