"""MONAI Label's ``/auth`` routes for our tokens: its panel's login takes the user's name, and the token as password.

With MONAI Label's own OIDC setting on, its own routes are used instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Form, Request
from monailabel.endpoints.user.auth import User

from server_app.api.dependencies import STOCK_ROLES, user_name
from server_app.common.identity import Identity, current
from server_app.errors import refusal


class Login(Protocol):
    """What these routes need of :class:`server_app.access.authentication.Authenticator`."""

    def requires_token(self, scope: Mapping[str, Any]) -> bool:
        """Return whether a request needs a token."""

    def user_of(self, token: str) -> Identity | None:
        """Return whose token it is."""


def router(authenticator: Login) -> APIRouter:
    """Return these routes."""
    routes = APIRouter(prefix="/auth", tags=["Auth"])

    @routes.get("/")
    async def enabled(request: Request) -> dict[str, Any]:
        """Return whether a token is needed."""
        return {"enabled": authenticator.requires_token(request.scope), "client_id": "tumorloop", "realm": ""}

    @routes.post("/token")
    async def log_in(username: Annotated[str, Form()] = "", password: Annotated[str, Form()] = "") -> dict[str, str]:
        """Check a user's name and token, and return the token."""
        found = authenticator.user_of(password.strip())
        if found is None or found.name.casefold() != username.strip().casefold():
            raise refusal(401, "password", "This name and access token do not match, or the token was revoked.")
        return {"access_token": password.strip(), "token_type": "bearer"}

    @routes.get("/token/valid")
    async def valid() -> User:
        """Return whose token it is."""
        return stock_user()

    return routes


def stock_user(token: str = "") -> User:
    """Return who sends the request, as MONAI Label's endpoints expect it; the token has been checked already."""
    who = current()
    roles = [name for role, name in STOCK_ROLES.items() if role <= who.role]
    return User(username=user_name(), name=who.name or "UNK", roles=roles)
