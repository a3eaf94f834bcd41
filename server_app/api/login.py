"""MONAI Label's ``/auth`` routes for our tokens: its panel's login takes the user's name, and the token for a password.

With MONAI Label's own OIDC setting on, its own routes stand in their place.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from monailabel.config import settings
from monailabel.endpoints.user.auth import User

from server_app.access.authentication import Authenticator
from server_app.common.identity import Role, current
from server_app.errors import refusal
from training.errors import InputError

#: MONAI Label's names for what a role may do.
_STOCK_ROLES = {
    Role.READER: settings.MONAI_LABEL_AUTH_ROLE_USER,
    Role.ANNOTATOR: settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR,
    Role.TRAINER: settings.MONAI_LABEL_AUTH_ROLE_ADMIN,
}


def router(gate: Authenticator) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/auth", tags=["Auth"])

    @routes.get("/")
    async def enabled(request: Request) -> dict[str, Any]:
        """Tell whether a token is needed."""
        return {"enabled": gate.requires_token(request.scope), "client_id": "tumorloop", "realm": ""}

    @routes.post("/token")
    async def log_in(username: Annotated[str, Form()] = "", password: Annotated[str, Form()] = "") -> dict[str, str]:
        """Check a user's name and token, and return the token."""
        try:
            found = gate.users.identify(password.strip())
        except InputError as error:
            raise refusal(503, error.field, error.message) from error
        if found is None or found.name.casefold() != username.strip().casefold():
            raise refusal(401, "password", "This name and access token do not belong together, or were revoked.")
        return {"access_token": password.strip(), "token_type": "bearer"}

    @routes.get("/token/valid")
    async def valid() -> User:
        """Tell whose token it is."""
        return stock_user()

    return routes


def stock_user(token: str = "") -> User:
    """Return who sends the request, as MONAI Label's endpoints want it; the layer has looked at the token already."""
    who = current()
    roles = [name for role, name in _STOCK_ROLES.items() if role <= who.role]
    return User(username=who.name or "admin", name=who.name or "UNK", roles=roles)
