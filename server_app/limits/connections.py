"""Limits on connections: how many there are, and how long the head of a request may take.

uvicorn waits for the head of a request forever. This protocol adds a timer, which runs while a connection has bytes to
read and no request in progress: while a head arrives, and while the rest of a refused body does. The latter may
continue as long as it is steady, so that an honest client gets to read why it was refused. ``python -m server_app``
uses it; MONAI Label's ``start_server`` cannot.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from server_app.settings import Limits

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

#: Maximum number of bytes in a request's head.
_HEAD_BYTES = 2**16


def uvicorn_options(limits: Limits) -> dict[str, Any]:
    """Return the arguments of ``uvicorn.run`` for the limits."""

    class Limited(LimitedConnection):
        pass

    Limited.limits, Limited.open_by_client = limits, Counter()
    return {
        "http": Limited,
        "ws": "none",
        "limit_concurrency": limits.max_connections,
        "h11_max_incomplete_event_size": _HEAD_BYTES,
        "timeout_keep_alive": 5,
        "server_header": False,
    }


class LimitedConnection(H11Protocol):
    """One connection; closed if it is too slow, or its client has too many."""

    limits: ClassVar[Limits] = Limits()
    open_by_client: ClassVar[Counter[str]] = Counter()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._received = self._discarded = 0
        self._client = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; a connection above the client's limit is closed at once."""
        super().connection_made(transport)
        self._client = self.client[0] if self.client else ""
        self.open_by_client[self._client] += 1
        most = self.limits.max_connections_per_client
        if most and self.open_by_client[self._client] > most:
            self.logger.warning("More than %d connections from one client.", most)
            transport.abort()
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_timer()
        self._stop_watching()
        self.open_by_client[self._client] -= 1
        if not self.open_by_client[self._client]:
            del self.open_by_client[self._client]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Receive bytes; the timer stops when they complete the head of a request."""
        super().data_received(data)
        self._received += len(data)
        if self._is_answering():
            self._stop_timer()
        else:
            self._start_timer()

    def pause_writing(self) -> None:
        """Stop the response, which is sent faster than the client reads it, and watch whether it reads on."""
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """Go on with the response."""
        self._stop_watching()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Wait for the next request (with uvicorn's own timeout), or for the rest of this one."""
        super().on_response_complete()
        if self._is_answering():  # the next request has arrived already
            self._stop_timer()
        self._watch_writing()

    def _watch_writing(self) -> None:
        """Close the connection unless the client goes on reading what waits in memory; nothing is added to it now."""
        self._stop_watching()
        left = self.transport.get_write_buffer_size()
        if left:
            self._watch = self.loop.call_later(self.limits.reply_seconds, self._check_writing, left)

    def _check_writing(self, before: int) -> None:
        if self.transport.get_write_buffer_size() == before:
            self.transport.abort()
        else:
            self._watch_writing()

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_timer(self) -> None:
        """Start the timer, unless it is running: more bytes give no more time."""
        if self._timer is None and not self.transport.is_closing():
            self._received = 0
            self._timer = self.loop.call_later(self.limits.header_seconds, self._on_timeout)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        self._timer = None
        if self._is_answering():
            return
        self._discarded += self._received
        steady = self._received >= self.limits.slowest_kb * 2**10 * self.limits.header_seconds
        if self.conn.their_state is h11.SEND_BODY and steady and self._discarded < 2 * self.limits.upload_bytes:
            self._start_timer()
        else:
            self.transport.abort()
