"""One after the other: the queue in front of the inference process.

Whoever wants to compute waits here, in its own thread, and only the one whose turn it is hands anything to the process.
So a computation that is cancelled takes nothing with it but itself: the process is killed, and the others are still
here. The turn goes to the client that had one longest ago, so that nobody waits behind more than one of another
client's. One lock guards the queue; what :meth:`Turns.cancel` calls must not wait for anything.
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
#: The most of them that one client may have, so that it cannot lock the others out.
MOST_EACH = 16
#: Clients whose last turn is remembered.
_REMEMBERED = 256


@dataclass(eq=False)
class Ticket:
    """A place in the queue.

    Attributes:
        client: Who wants the result; the same for all that one client wants.
        cancelled: Somebody does not want the result any more.
        over: Computed, failed or given up: it cannot be cancelled any more.
    """

    client: str = ""
    cancelled: bool = False
    over: bool = False


class Turns:
    """The queue: one of it computes, the others wait, in the order of their coming."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: list[Ticket] = []
        self._computing: Ticket | None = None
        self._served: dict[str, int] = {}
        self._turns = 0
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
                if self._computing is ticket:
                    self._computing = None
                if ticket in self._queue:
                    self._queue.remove(ticket)
                self._changed.notify_all()
            if ticket.cancelled:
                raise _cancelled()

    def skip(self, ticket: Ticket) -> None:
        """Let a ticket be over that needs no turn.

        Raises:
            HTTPException: 499 if it was cancelled before.
        """
        with self._changed:
            if ticket.cancelled:
                raise _cancelled()
            ticket.over = True

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
            if self._computing is ticket:
                end()
            self._changed.notify_all()
            return True

    def before(self, ticket: Ticket) -> int:
        """Return how many are before a ticket; 0 if it computes or is over."""
        with self._changed:
            if ticket.over:
                return 0
            return self._order().index(ticket) if ticket in self._queue else len(self._queue)

    def length(self) -> int:
        """Return how many compute or wait."""
        with self._changed:
            return len(self._queue)

    def close(self) -> None:
        """Let nobody have another turn."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait(self, ticket: Ticket, give_up: float) -> None:
        with self._changed:
            self._enter(ticket)
            while not self._closed and not ticket.cancelled and not self._is_next(ticket):
                if not self._changed.wait(max(0.0, give_up - time.monotonic())) and time.monotonic() >= give_up:
                    raise refusal(504, "", "Other segmentations took too long; the turn of this one did not come.")
            if self._closed or ticket.cancelled:  # of a cancelled one, turn() makes its own error
                raise refusal(503, "", "The server is shutting down.")
            self._computing = ticket
            self._remember(ticket.client)

    def _enter(self, ticket: Ticket) -> None:
        if len(self._queue) >= MOST:
            raise refusal(503, "", f"{MOST} segmentations wait already. Try again in some minutes.")
        if sum(other.client == ticket.client for other in self._queue) >= MOST_EACH:
            message = f"{MOST_EACH} of your segmentations wait already. Wait for some of them, or cancel them."
            raise refusal(503, "", message)
        self._queue.append(ticket)

    def _is_next(self, ticket: Ticket) -> bool:
        return self._computing is None and self._order()[0] is ticket

    def _order(self) -> list[Ticket]:
        """Return the queue in the order in which it will compute, if nobody else comes."""
        waiting = [ticket for ticket in self._queue if ticket is not self._computing]
        order = [self._computing] if self._computing is not None else []
        served, turn = dict(self._served), self._turns
        while waiting:
            # min() takes the first of equals: who never had a turn comes in the order of coming
            ticket = min(waiting, key=lambda other: served.get(other.client, 0))
            turn += 1
            served[ticket.client] = turn
            waiting.remove(ticket)
            order.append(ticket)
        return order

    def _remember(self, client: str) -> None:
        self._turns += 1
        self._served.pop(client, None)
        self._served[client] = self._turns
        while len(self._served) > _REMEMBERED:
            del self._served[next(iter(self._served))]


def _cancelled() -> Exception:
    return refusal(499, "job", "This segmentation was cancelled.")
