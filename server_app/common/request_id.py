"""One id for each request: in its answer, in its log lines, and for whoever else writes down what was done.

A proxy or a client may send one along as ``X-Request-ID``; what is no plain id is replaced, for it would end up in
logs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from asgi_correlation_id import CorrelationIdMiddleware
from asgi_correlation_id.context import correlation_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp

#: The header, in requests and answers.
HEADER = "X-Request-ID"
_FORM = re.compile(r"[A-Za-z0-9-]{8,64}")


def request_ids(app: ASGIApp) -> ASGIApp:
    """Make the layer that gives each request its id."""
    return CorrelationIdMiddleware(app, header_name=HEADER, validator=lambda sent: bool(_FORM.fullmatch(sent)))


def current() -> str | None:
    """Return the id of the request that is being answered; ``None`` outside of one. Also right in a route's thread."""
    return correlation_id.get()
