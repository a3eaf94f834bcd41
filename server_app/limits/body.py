"""The body of a request, limited in size and time while it arrives."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from fastapi import HTTPException
from starlette.requests import ClientDisconnect

from server_app.errors import refusal

if TYPE_CHECKING:
    from starlette.types import Message, Receive


class Body:
    """Receives a body like ASGI's ``receive``, within limits.

    Only the time spent waiting for the client counts, not what the server does in between.

    Args:
        receive: ASGI's.
        most: Bytes the body may have.
        seconds: How long to wait for it in total, if it does not grow.
        slowest: Bytes per second by which it must grow after that.
    """

    def __init__(self, receive: Receive, most: int, seconds: float, slowest: float) -> None:
        self._receive = receive
        self._most = most
        self._seconds = seconds
        self._slowest = slowest
        self._bytes = 0
        self._waited = 0.0
        self._complete = False
        #: Why the body was refused, if it was: this is the response, whatever the app does.
        self.refused: HTTPException | None = None
        #: Whether the client disconnected before the body was complete: what arrived must not be used.
        self.disconnected = False

    async def receive(self) -> Message:
        """Return the next part, or ``http.disconnect`` once the client has disconnected, which does not end the body.

        Raises:
            HTTPException: 408 if it does not arrive in time, 413 if it is too large.
        """
        if self._complete:
            return await self._receive()  # waits for the client to disconnect
        begun = time.monotonic()
        left = self._seconds + self._bytes / self._slowest - self._waited
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, left))
        except (TimeoutError, asyncio.TimeoutError):
            raise self._refuse(408, f"The request arrived too slowly ({self._bytes:,} bytes so far).") from None
        if message["type"] == "http.disconnect":
            self.disconnected = True
            return message
        self._waited += time.monotonic() - begun
        self._bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._bytes > self._most:
            raise self._refuse(413, too_large(self._most))
        return message

    async def read_all(self) -> list[Message]:
        """Return all parts.

        Raises:
            HTTPException: As :meth:`receive`.
            ClientDisconnect: If the client disconnected before.
        """
        messages: list[Message] = []
        while not self._complete:
            messages.append(await self.receive())
            if self.disconnected:
                raise ClientDisconnect
        return messages

    def _refuse(self, status: int, message: str) -> HTTPException:
        self._complete = True
        self.refused = refusal(status, "body", message)
        return self.refused


def too_large(most: int) -> str:
    """Return the message for a body that is too large."""
    size = f"{most / 2**20:,.0f} MiB" if most >= 2**20 else f"{most / 2**10:,.0f} KiB"
    return f"The request is larger than {size}, the maximum here."
