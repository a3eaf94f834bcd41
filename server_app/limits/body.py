"""The body of a request, counted and timed while it arrives."""

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
    """Receives a body as ASGI does, within limits.

    Only the time spent waiting for the client counts, not what the server does with the parts.

    Args:
        receive: Where the parts come from.
        most: Bytes the body may have.
        seconds: That may be waited for it in all, if it does not grow.
        slowest: Bytes a second by which it must grow after that.
    """

    def __init__(self, receive: Receive, most: int, seconds: float, slowest: float) -> None:
        self._receive = receive
        self._most = most
        self._seconds = seconds
        self._slowest = slowest
        self._bytes = 0
        self._waited = 0.0
        self._complete = False
        #: What was wrong, once something was; whatever the app answers to that, this is the answer.
        self.refused: HTTPException | None = None
        #: Whether the client hung up before the body was complete: what has come is not what was meant.
        self.broken_off = False

    async def receive(self) -> Message:
        """Return the next part, or ``http.disconnect`` from when the client has hung up; that is no end of the body.

        Raises:
            HTTPException: 408 if it does not arrive in time, 413 if there is too much.
        """
        if self._complete:
            return await self._receive()  # waits for the client to hang up
        begun = time.monotonic()
        left = self._seconds + self._bytes / self._slowest - self._waited
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, left))
        except (TimeoutError, asyncio.TimeoutError):
            raise self._refuse(408, f"The request arrived too slowly ({self._bytes:,} bytes so far).") from None
        if message["type"] == "http.disconnect":
            self.broken_off = True
            return message
        self._waited += time.monotonic() - begun
        self._bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._bytes > self._most:
            raise self._refuse(413, too_much(self._most))
        return message

    async def whole(self) -> list[Message]:
        """Return all parts.

        Raises:
            HTTPException: As :meth:`receive`.
            ClientDisconnect: If the client hung up before.
        """
        messages: list[Message] = []
        while not self._complete:
            messages.append(await self.receive())
            if self.broken_off:
                raise ClientDisconnect
        return messages

    def _refuse(self, status: int, message: str) -> HTTPException:
        self._complete = True
        self.refused = refusal(status, "body", message)
        return self.refused


def too_much(most: int) -> str:
    """Say how much a body may have."""
    size = f"{most / 2**20:,.0f} MiB" if most >= 2**20 else f"{most / 2**10:,.0f} KiB"
    return f"The request is larger than {size}, which is the most here."
