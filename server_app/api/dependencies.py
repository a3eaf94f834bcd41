"""What the modules of routes share: the router that takes roles from the table of routes, and common parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Form, Request
from fastapi.params import File
from fastapi.routing import APIRoute
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC

from server_app.api.route_table import Load, entry
from server_app.common.identity import Role, current

#: MONAI Label's names for our roles.
STOCK_ROLES = {
    Role.READER: settings.MONAI_LABEL_AUTH_ROLE_USER,
    Role.ANNOTATOR: settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR,
    Role.TRAINER: settings.MONAI_LABEL_AUTH_ROLE_ADMIN,
}

#: A JSON object, as a form field and as the body.
Params = Annotated[str, Form()]
Settings = Annotated[dict[str, Any] | None, Body()]


class Router(APIRouter):
    """Adds routes that are in the table of routes, each with the role that it has there."""

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:
        """Add a route.

        Raises:
            LookupError: If it is not in the table.
            ValueError: If it takes files and the table does not say so, or the reverse.
        """
        (row,) = {entry(method, self.prefix + path) for method in more["methods"]}
        if row.role is not None:
            more["dependencies"] = [*(more.get("dependencies") or ()), Depends(RBAC(STOCK_ROLES[row.role]))]
        super().add_api_route(path, endpoint, **more)
        route = self.routes[-1]
        assert isinstance(route, APIRoute)
        if takes_files(route) != (row.load is Load.FILES):
            raise ValueError(f"{row.path}: the table of routes and the route disagree on whether it takes files.")


def takes_files(route: APIRoute) -> bool:
    """Return whether a route's form holds files."""
    return any(isinstance(field.field_info, File) for field in route.dependant.body_params)


def with_user(params: dict[str, Any]) -> dict[str, Any]:
    """Return parameters in which ``client_id`` is the authenticated user; without one, as the client sent them."""
    name = current().name
    return {**params, "client_id": name} if name else params


def user_name() -> str:
    """Return the name of the authenticated user, or MONAI Label's name for everybody."""
    return current().name or "admin"


def client_of(request: Request, params: Mapping[str, Any]) -> str:
    """Return a name for the sender of a request: the authenticated user, or else the machine and ``client_id``.

    Args:
        request: The request; the access middleware has put the user's name into its state.
        params: May contain ``client_id``, which clients without a token choose.
    """
    user = request.scope.get("state", {}).get("user")
    if user:
        return f"user {user}"
    host = request.client.host if request.client else ""
    return f"{host} {str(params.get('client_id') or '')[:100]}"
