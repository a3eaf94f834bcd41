"""How many requests are under way, so that those that take long leave room for those that do not.

A request that waits for an inference, or whose files are being read, holds a thread. There are as many threads as there
may be requests, and a quarter of them is never taken by the slow ones: whatever the others do, progress is told, a
cancellation is heard and the light stays green.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import HTTPException

from server_app.errors import refusal

#: So many requests at once read volumes into memory, a few gigabytes each at the most.
_READERS = threading.BoundedSemaphore(3)
#: Seconds to wait for one of those places.
_READ_WAIT = 120.0


class Crowd:
    """The requests under way; for one event loop.

    Args:
        most: How many there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_slow = max(1, most * 3 // 4)
        self._all = self._slow = 0

    @contextmanager
    def admitted(self, *, slow: bool) -> Iterator[None]:
        """Count a request while it is under way.

        Args:
            slow: Whether it may take longer than a look at a file.

        Raises:
            HTTPException: 503 if there are too many.
        """
        if self._all >= self._most or (slow and self._slow >= self._most_slow):
            raise busy()
        threads = current_default_thread_limiter()
        threads.total_tokens = max(threads.total_tokens, self._most)
        self._all, self._slow = self._all + 1, self._slow + slow
        try:
            yield
        finally:
            self._all, self._slow = self._all - 1, self._slow - slow


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
