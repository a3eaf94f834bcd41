"""The middleware that counts, times and logs requests.

A log line has the route's template, not the address, which may contain the name of a case or anything a user typed. So
no line can reveal a token or a patient.
"""

from __future__ import annotations

import logging
import time
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from server_app.common.metrics import IN_PROGRESS, REQUEST_SECONDS, REQUESTS
from training.spans import Spans, recorded

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("tumorloop.requests")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
#: Polled every few seconds; logged only at level DEBUG.
_POLLED = frozenset({"/healthz", "/metrics"})
#: The logged status if the client disconnected before the response began.
_GONE = 499


class RequestLog:
    """Counts, times and logs requests.

    Args:
        app: The next app.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and log how it was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        started, status, sent = time.perf_counter(), _GONE, 0

        async def note(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = int(message["status"])
                if spans.seconds:
                    timing = server_timing(spans, time.perf_counter() - started)
                    message["headers"] = [*message.get("headers", []), (b"server-timing", timing.encode())]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        IN_PROGRESS.inc()
        try:
            with recorded() as spans:
                await self._app(scope, receive, note)
        except Exception:
            status = 500  # the server's error handler outside of this one answers
            raise
        finally:
            IN_PROGRESS.dec()
            _write(scope, status, time.perf_counter() - started, sent)


def server_timing(spans: Spans, seconds: float) -> str:
    """Return the value of the header ``Server-Timing`` (W3C): milliseconds of each stage, and of all until now."""
    stages = {**spans.rounded(), "total": seconds}
    return ", ".join(f"{name};dur={1000 * value:.0f}" for name, value in stages.items())


def route_of(scope: MutableMapping[str, Any]) -> str:
    """Return the template of the route that answered a request; ``none`` if there was none."""
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
    level = logging.DEBUG if route in _POLLED else logging.ERROR if status >= 500 else logging.INFO
    logger.log(level, "%s %s %d in %.1f ms", method, route, status, seconds * 1000, extra=facts)
