"""How many large reads go on at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException

from server_app.errors import refusal

#: So many requests at once read volumes into memory, a few gigabytes each at the most.
_READERS = threading.BoundedSemaphore(3)


#: Seconds to wait for one of those places.
_READ_WAIT = 120.0


@contextmanager
def reading() -> Iterator[None]:
    """Read volumes in the web process; only a few requests do so at once, for the memory it takes.

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
    """Build the answer to a request that comes at a bad time."""
    error = refusal(503, "", "The server has too much to do at the moment. Try again in a few seconds.")
    error.headers = {"Retry-After": "5"}
    return error
