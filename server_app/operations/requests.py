"""The layer that counts, times and logs requests.

A log line names the route, not the address: an address may hold the name of a case, or what else somebody typed into
it. So no line can give away a token or a patient.
"""

from __future__ import annotations

import logging
import time
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from server_app.common.metrics import REQUEST_SECONDS, REQUESTS, UNDER_WAY

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("tumorloop.requests")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
#: Asked for every few seconds by machines; told in the metrics, and in the log at the level DEBUG only.
_CHATTER = frozenset({"/healthz", "/metrics"})
#: The status a log line has when the client was gone before the answer began.
_GONE = 499


class RequestLog:
    """Counts, times and logs what passes through it.

    Args:
        app: The next layer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on and write down how it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        started, status, sent = time.perf_counter(), _GONE, 0

        async def note(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = int(message["status"])
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        UNDER_WAY.inc()
        try:
            await self._app(scope, receive, note)
        except Exception:
            status = 500  # the server's own error handler answers above us
            raise
        finally:
            UNDER_WAY.dec()
            _write(scope, status, time.perf_counter() - started, sent)


def route_of(scope: MutableMapping[str, Any]) -> str:
    """Return the route that answered a request, with its parameters' names; ``none`` if there was none."""
    path = getattr(scope.get("route"), "path", None)
    return str(path) if path else "none"


def _write(scope: Scope, status: int, seconds: float, sent: int) -> None:
    route, method = route_of(scope), scope["method"] if scope["method"] in _METHODS else "other"
    REQUESTS.labels(route, method, str(status)).inc()
    REQUEST_SECONDS.labels(route, method).observe(seconds)
    facts = {
        "route": route,
        "method": method,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "sent_bytes": sent,
        "client": (scope.get("client") or ("",))[0],
        "user": scope["state"].get("user"),
    }
    level = logging.DEBUG if route in _CHATTER else logging.ERROR if status >= 500 else logging.INFO
    logger.log(level, "%s %s %d in %.1f ms", method, route, status, seconds * 1000, extra=facts)
