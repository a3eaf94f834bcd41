"""The number of concurrent requests, limited so that slow ones leave capacity for quick ones.

A request that waits for an inference, or whose files are being read, holds a thread. There are as many threads as
concurrent requests, and slow ones never take the last quarter of them: progress, cancellations and health checks are
answered whatever else is going on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from anyio.to_thread import current_default_thread_limiter

from server_app.common.read_limit import busy


class ConcurrencyLimit:
    """The requests in progress; for one event loop.

    Args:
        most: Requests at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_slow = max(1, most * 3 // 4)
        self._all = self._slow = 0

    @contextmanager
    def admit(self, *, slow: bool) -> Iterator[None]:
        """Count a request in progress, as slow if it may hold its thread for long; 503 if there are too many."""
        if self._all >= self._most or (slow and self._slow >= self._most_slow):
            raise busy()
        threads = current_default_thread_limiter()
        threads.total_tokens = max(threads.total_tokens, self._most)
        self._all, self._slow = self._all + 1, self._slow + slow
        try:
            yield
        finally:
            self._all, self._slow = self._all - 1, self._slow - slow
