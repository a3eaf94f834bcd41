"""One after the other: the queue in front of the inference process.

Whoever wants to compute waits here, in its own thread, and only the first of the queue hands anything to the process.
So a computation that is cancelled takes nothing with it but itself: the process is killed, and the others are still
here. One lock guards the queue; what :meth:`Turns.cancel` calls must not wait for anything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from server_app.errors import refusal

#: The most that wait at a time: each holds one of the web server's forty threads, and the rest must go on answering.
MOST = 24


@dataclass(eq=False)
class Ticket:
    """A place in the queue.

    Attributes:
        cancelled: Somebody does not want the result any more.
        over: Computed, failed or given up: it cannot be cancelled any more.
    """

    cancelled: bool = False
    over: bool = False


class Turns:
    """The queue; the first in it computes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: list[Ticket] = []
        self._closed = False

    @contextmanager
    def turn(self, ticket: Ticket, give_up: float) -> Iterator[None]:
        """Wait until it is this ticket's turn, and keep it for the block.

        Args:
            ticket: A new one.
            give_up: When to stop waiting, on the clock of :func:`time.monotonic`.

        Raises:
            HTTPException: 499 if the ticket was cancelled, before or inside the block, whatever came of the block; 503
                if too many wait or the server ends; 504 if the turn did not come in time.
        """
        try:
            self._wait(ticket, give_up)
            yield
        finally:
            with self._changed:
                ticket.over = True
                if ticket in self._queue:
                    self._queue.remove(ticket)
                self._changed.notify_all()
            if ticket.cancelled:
                raise refusal(499, "job", "This segmentation was cancelled.")

    def cancel(self, ticket: Ticket, end: Callable[[], None]) -> bool:
        """Cancel a ticket; return whether it came in time.

        Args:
            ticket: Waiting, computing, or not in the queue yet.
            end: Called to end the computation, if it is this ticket's.
        """
        with self._changed:
            if ticket.over:
                return False
            ticket.cancelled = True
            if self._queue and self._queue[0] is ticket:
                end()
            self._changed.notify_all()
            return True

    def before(self, ticket: Ticket) -> int:
        """Return how many are before a ticket; 0 if it computes or is over."""
        with self._changed:
            if ticket.over:
                return 0
            return self._queue.index(ticket) if ticket in self._queue else len(self._queue)

    def close(self) -> None:
        """Let nobody have another turn."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait(self, ticket: Ticket, give_up: float) -> None:
        with self._changed:
            if len(self._queue) >= MOST:
                raise refusal(503, "", f"{MOST} segmentations wait already. Try again in some minutes.")
            self._queue.append(ticket)
            while not self._closed and not ticket.cancelled and self._queue[0] is not ticket:
                if not self._changed.wait(max(0.0, give_up - time.monotonic())) and time.monotonic() >= give_up:
                    raise refusal(504, "", "Other segmentations took too long; the turn of this one did not come.")
            if self._closed or ticket.cancelled:  # of a cancelled one, turn() makes its own error
                raise refusal(503, "", "The server is shutting down.")
