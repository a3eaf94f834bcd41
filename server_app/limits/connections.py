"""Connections, before there is a request: how many, and how long one may take to say what it wants.

uvicorn waits for the head of a request for ever. This is its own protocol with a clock: it runs while a connection has
bytes to read and no request under way, that is while a head arrives, and while what is left of a refused body does. The
latter may go on as long as it is steady, so that an honest client comes to read why it was refused.
``python -m server_app`` uses it; MONAI Label's ``start_server`` cannot be told to.
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

#: Most bytes of a request's head.
_HEAD_BYTES = 2**16


def uvicorn_options(limits: Limits) -> dict[str, Any]:
    """Return arguments for ``uvicorn.run`` that bring the limits about."""

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
    """One connection; closed when it keeps the server waiting, or its client has too many."""

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
        self._clock: asyncio.TimerHandle | None = None
        self._came = self._passed_over = 0
        self._from = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; a client's connection beyond its number is closed at once."""
        super().connection_made(transport)
        self._from = self.client[0] if self.client else ""
        self.open_by_client[self._from] += 1
        most = self.limits.max_connections_per_client
        if most and self.open_by_client[self._from] > most:
            self.logger.warning("More than %d connections from one client.", most)
            transport.abort()
            return
        self._wind()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop()
        self.open_by_client[self._from] -= 1
        if not self.open_by_client[self._from]:
            del self.open_by_client[self._from]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; the clock stops when they complete the head of a request."""
        super().data_received(data)
        self._came += len(data)
        if self._is_answering():
            self._stop()
        else:
            self._wind()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one; the first wait is uvicorn's own."""
        super().on_response_complete()
        if self._is_answering():  # the next request was there already
            self._stop()
        self._watch(0)

    def _watch(self, before: int) -> None:
        """See to it that the client takes what is left of a reply: its end waits in memory until then."""
        left = self.transport.get_write_buffer_size()
        if left and left == before:
            self.transport.abort()
        elif left:
            self.loop.call_later(self.limits.reply_seconds, self._watch, left)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wind(self) -> None:
        """Start the clock, unless it runs: more bytes give no more time."""
        if self._clock is None and not self.transport.is_closing():
            self._came = 0
            self._clock = self.loop.call_later(self.limits.header_seconds, self._give_up)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _give_up(self) -> None:
        self._clock = None
        if self._is_answering():
            return
        self._passed_over += self._came
        steady = self._came >= self.limits.slowest_kb * 2**10 * self.limits.header_seconds
        if self.conn.their_state is h11.SEND_BODY and steady and self._passed_over < 2 * self.limits.upload_bytes:
            self._wind()
        else:
            self.transport.abort()
