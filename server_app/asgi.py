"""The app that is served: MONAI Label's, behind layers of our own.

``python -m server_app`` serves :data:`app`. MONAI Label's own command serves MONAI Label's app, unless it is told to
serve this one (``--uvicorn_app server_app.asgi:app``); then the layers are put inside that, by :func:`surround`.

A layer is an ASGI middleware that knows nothing of the others. Requests pass them from the first of :func:`layers` to
the last; what must happen whatever the others decide comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp

#: Makes a layer around an app.
Layer = Callable[["ASGIApp"], "ASGIApp"]


def layers() -> list[Layer]:
    """Return the layers, outermost first."""
    from server_app.access.setup import access
    from server_app.common.request_id import request_ids
    from server_app.limits.middleware import limits
    from server_app.operations.requests import RequestLog

    return [request_ids, RequestLog, limits, access]


def build() -> ASGIApp:
    """Return MONAI Label's app inside all layers."""
    from monailabel.app import app as inner

    return _wrapped(inner)


def surround(web: Starlette) -> None:
    """Put the layers inside an app that is being served, unless they are around it already.

    Args:
        web: MONAI Label's app, at its start: its own layers have been made, and no request has come yet.
    """
    if "app" not in globals():
        web.middleware_stack = _wrapped(web.middleware_stack or web.build_middleware_stack())


def _wrapped(app: ASGIApp) -> ASGIApp:
    for layer in reversed(layers()):
        app = layer(app)
    return app


def __getattr__(name: str) -> ASGIApp:
    """Build ``app`` when it is first asked for: importing this module alone loads nothing."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = build()
    return globals()["app"]
