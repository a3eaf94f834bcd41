"""A limit on concurrent reads of volumes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException

from server_app.errors import refusal

#: Requests that read volumes at once, each of which takes up to a few gigabytes of memory.
_READERS = threading.BoundedSemaphore(3)
#: Seconds to wait for the others.
_READ_WAIT = 120.0


@contextmanager
def reading() -> Iterator[None]:
    """Read volumes in the web process; only a few requests do so at once, since it takes memory.

    Raises:
        HTTPException: 503 if the others take too long.
    """
    if not _READERS.acquire(timeout=_READ_WAIT):
        raise busy()
    try:
        yield
    finally:
        _READERS.release()


def busy() -> HTTPException:
    """Build the response to a request that there is no capacity for."""
    error = refusal(503, "", "The server is too busy at the moment. Try again in a few seconds.")
    error.headers = {"Retry-After": "5"}
    return error
