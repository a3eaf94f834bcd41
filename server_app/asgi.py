"""The app that is served: MONAI Label's, inside middleware of ours.

``python -m server_app`` serves :data:`app`. MONAI Label's own command serves MONAI Label's app, unless it is started
with ``--uvicorn_app server_app.asgi:app``; then :func:`add_middleware` puts the middleware inside that app.

Each ASGI middleware is independent of the others. Requests pass them in the order of :func:`middleware`; whatever must
happen regardless of the others comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp

#: Wraps an app.
Middleware = Callable[["ASGIApp"], "ASGIApp"]


def middleware() -> list[Middleware]:
    """Return the middleware, outermost first."""
    from server_app.access.setup import access
    from server_app.common.request_id import request_ids
    from server_app.limits.middleware import limits
    from server_app.operations.requests import RequestLog

    return [request_ids, RequestLog, limits, access]


def build() -> ASGIApp:
    """Return MONAI Label's app inside all middleware."""
    from monailabel.app import app as inner

    return _wrapped(inner)


def add_middleware(web: Starlette) -> None:
    """Put the middleware inside an app that is being served, unless it is around it already.

    Args:
        web: MONAI Label's app at startup: its own middleware has been built, and there was no request yet.
    """
    if "app" not in globals():
        web.middleware_stack = _wrapped(web.middleware_stack or web.build_middleware_stack())


def _wrapped(app: ASGIApp) -> ASGIApp:
    for wrap in reversed(middleware()):
        app = wrap(app)
    return app


def __getattr__(name: str) -> ASGIApp:
    """Build ``app`` on first access: importing this module alone loads nothing."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = build()
    return globals()["app"]
