"""An id for each request: in its response, its log lines and the audit log.

A proxy or a client may send one as ``X-Request-ID``; anything but a plain id is replaced, since it ends up in logs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from asgi_correlation_id import CorrelationIdMiddleware
from asgi_correlation_id.context import correlation_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp

#: The header, in requests and responses.
HEADER = "X-Request-ID"
_FORM = re.compile(r"[A-Za-z0-9-]{8,64}")


def request_ids(app: ASGIApp) -> ASGIApp:
    """Make the middleware that gives each request its id."""
    return CorrelationIdMiddleware(app, header_name=HEADER, validator=lambda sent: bool(_FORM.fullmatch(sent)))


def current() -> str | None:
    """Return the id of the current request, also in a route's thread; ``None`` outside of one."""
    return correlation_id.get()
