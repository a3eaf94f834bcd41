"""A full disk: told to the client in a sentence, whatever was being written when it filled up.

Everything the server stores is written beside its place and moved there when it is complete, so nothing half-written
is left. What is left to do is to recognize the error, also where others have wrapped it.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from server_app.errors import refusal
from server_app.limits.files import FewParts

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: How numpy puts it, without an error number.
_CUT_SHORT = re.compile(r"\d+ requested and \d+ written|Not enough free space to write \d+ bytes")
_SENTENCE = (
    "The server's disk is full, so nothing was stored. Ask whoever runs the server to make room, then try again."
)


class StoringRoute(APIRoute):
    """A route that answers with 507 when the disk is full, be it while the request's files arrive; those are few."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler that FastAPI calls."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(FewParts(request.scope, request.receive))
            except Exception as error:
                if is_disk_full(error):
                    raise refusal(507, "disk", _SENTENCE) from error
                raise

        return handle


def is_disk_full(error: BaseException | None) -> bool:
    """Tell whether an error, or one that led to it, says that the disk or the user's share of it is full."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and (error.errno in _FULL or _CUT_SHORT.fullmatch(str(error))):
            return True
        error = error.__cause__ or error.__context__
    return False
