"""How many requests are under way, so that those that take long leave room for those that do not.

A request that waits for an inference, or whose files are being read, holds a thread. There are as many threads as there
may be requests, and a quarter of them is never taken by the slow ones: whatever the others do, progress is told, a
cancellation is heard and the light stays green.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from anyio.to_thread import current_default_thread_limiter

from server_app.common.readers import busy


class ConcurrencyLimit:
    """The requests under way; for one event loop.

    Args:
        most: How many there may be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._most_slow = max(1, most * 3 // 4)
        self._all = self._slow = 0

    @contextmanager
    def admit(self, *, slow: bool) -> Iterator[None]:
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
