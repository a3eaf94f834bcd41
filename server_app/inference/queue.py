"""The queue in front of the inference process: one inference computes, the others wait.

Each request waits here in its own thread, and only the one whose turn has come submits anything to the process. So
cancelling a computation, which kills the process, affects no other: the rest are still waiting here. The next slot
goes to the client that was served longest ago, so nobody waits behind more than one inference of another client. One
lock guards the queue; what :meth:`InferenceQueue.cancel` calls must not block.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from server_app.errors import refusal

#: Maximum number of inferences in the queue: each holds a thread of the web server, and other requests need the rest.
MAX_WAITING = 24
#: Maximum number of them from one client, so that it cannot keep the others out.
MAX_WAITING_PER_CLIENT = 16
#: Clients for which the last time they were served is remembered.
_REMEMBERED = 256


@dataclass(eq=False)
class Ticket:
    """One inference's entry in the queue.

    Attributes:
        client: Who sent it; the same for all inferences of a client.
        cancelled: Whether it was cancelled.
        finished: Whether it was computed, failed or was given up; it can no longer be cancelled.
    """

    client: str = ""
    cancelled: bool = False
    finished: bool = False


class InferenceQueue:
    """The queue of one server. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: list[Ticket] = []
        self._computing: Ticket | None = None
        self._last_served: dict[str, int] = {}
        self._count = 0
        self._closed = False

    @contextmanager
    def slot(self, ticket: Ticket, deadline: float) -> Iterator[None]:
        """Wait for the ticket's turn, and hold the slot for the duration of the block.

        Args:
            ticket: A new one.
            deadline: When to stop waiting, on the clock of :func:`time.monotonic`.

        Raises:
            HTTPException: 499 if the ticket was cancelled, before or inside the block, whatever the block did; 503 if
                too many wait or the server shuts down; 504 if the deadline passed.
        """
        try:
            self._wait(ticket, deadline)
            yield
        finally:
            with self._changed:
                ticket.finished = True
                if self._computing is ticket:
                    self._computing = None
                if ticket in self._queue:
                    self._queue.remove(ticket)
                self._changed.notify_all()
            if ticket.cancelled:
                raise _cancelled()

    def skip(self, ticket: Ticket) -> None:
        """Finish a ticket that needs no computation; 499 if it was cancelled before."""
        with self._changed:
            if ticket.cancelled:
                raise _cancelled()
            ticket.finished = True

    def cancel(self, ticket: Ticket, end: Callable[[], None]) -> bool:
        """Cancel a ticket, in the queue or not yet; return whether it was still in time.

        Args:
            ticket: What to cancel.
            end: Called to end the computation if it is this ticket's.
        """
        with self._changed:
            if ticket.finished:
                return False
            ticket.cancelled = True
            if self._computing is ticket:
                end()
            self._changed.notify_all()
            return True

    def position(self, ticket: Ticket) -> int:
        """Return how many are ahead of a ticket; 0 if it is computing or finished."""
        with self._changed:
            if ticket.finished:
                return 0
            return self._order().index(ticket) if ticket in self._queue else len(self._queue)

    def length(self) -> int:
        """Return how many are computing or waiting."""
        with self._changed:
            return len(self._queue)

    def close(self) -> None:
        """Start no further inference."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait(self, ticket: Ticket, deadline: float) -> None:
        with self._changed:
            self._enter(ticket)
            while not self._closed and not ticket.cancelled and not self._is_next(ticket):
                if not self._changed.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    raise refusal(504, "", "Other segmentations took too long; this one was not started in time.")
            if self._closed or ticket.cancelled:  # slot() raises its own error for a cancelled one
                raise refusal(503, "", "The server is shutting down.")
            self._computing = ticket
            self._note_served(ticket.client)

    def _enter(self, ticket: Ticket) -> None:
        if len(self._queue) >= MAX_WAITING:
            raise refusal(503, "", f"{MAX_WAITING} segmentations wait already. Try again in a few minutes.")
        if sum(other.client == ticket.client for other in self._queue) >= MAX_WAITING_PER_CLIENT:
            message = f"{MAX_WAITING_PER_CLIENT} of your segmentations wait already. Wait for some, or cancel them."
            raise refusal(503, "", message)
        self._queue.append(ticket)

    def _is_next(self, ticket: Ticket) -> bool:
        return self._computing is None and self._order()[0] is ticket

    def _order(self) -> list[Ticket]:
        """Return the queue in the order in which it will be computed if nothing else is added."""
        waiting = [ticket for ticket in self._queue if ticket is not self._computing]
        order = [self._computing] if self._computing is not None else []
        served, count = dict(self._last_served), self._count
        while waiting:
            # min() takes the first of equals: clients that were never served come in the order of arrival
            ticket = min(waiting, key=lambda other: served.get(other.client, 0))
            count += 1
            served[ticket.client] = count
            waiting.remove(ticket)
            order.append(ticket)
        return order

    def _note_served(self, client: str) -> None:
        self._count += 1
        self._last_served.pop(client, None)
        self._last_served[client] = self._count
        while len(self._last_served) > _REMEMBERED:
            del self._last_served[next(iter(self._last_served))]


def _cancelled() -> Exception:
    return refusal(499, "job", "This segmentation was cancelled.")
