"""Several clients share one worker: nobody waits behind more than one job of another client."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from fastapi import HTTPException

from server_app.inference import queue as turns
from server_app.inference.queue import InferenceQueue, Ticket
from tests.server_app.conftest import eventually


class Line:
    """A queue whose computations last until they are released, one by one."""

    def __init__(self) -> None:
        self.turns = InferenceQueue()
        self.begun: list[Ticket] = []
        self.step = threading.Semaphore(0)
        self.threads = ThreadPoolExecutor(24)
        self.futures: list[Future[None]] = []

    def ask(self, *clients: str) -> list[Ticket]:
        """Ask for a turn of each client; they are in the queue, and the first computes, when this returns."""
        tickets = [Ticket(client) for client in clients]
        for ticket in tickets:
            before = self.turns.length()
            future = self.threads.submit(self._compute, ticket)
            self.futures.append(future)
            eventually(lambda: self.turns.length() > before or future.done())  # noqa: B023 - called at once
        eventually(lambda: self.begun)
        return tickets

    def _compute(self, ticket: Ticket) -> None:
        with self.turns.slot(ticket, time.monotonic() + 30):
            self.begun.append(ticket)
            assert self.step.acquire(timeout=30)

    def release_all(self) -> list[str]:
        """Let everybody compute; return the clients in the order of their turns."""
        self.step.release(len(self.futures))
        for future in self.futures:
            future.result(30)
        return [ticket.client for ticket in self.begun]


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.step.release(max(1, len(made.futures)))
    made.threads.shutdown()


def test_a_late_client_waits_behind_one_job_of_a_client_that_asked_for_many(line: Line) -> None:
    line.ask(*["many"] * 5)
    (late,) = line.ask("late")
    assert line.turns.position(late) == 1
    assert line.release_all() == ["many", "late", "many", "many", "many", "many"]


def test_clients_take_turns_in_the_positions_that_they_were_told(line: Line) -> None:
    tickets = line.ask("a", "a", "b", "c", "b", "a")
    expected = [line.turns.position(ticket) for ticket in tickets]
    assert expected == [0, 3, 1, 2, 4, 5]
    assert line.release_all() == ["a", "b", "c", "a", "b", "a"]
    assert [line.begun.index(ticket) for ticket in tickets] == expected


def test_a_client_that_just_had_a_turn_comes_after_those_that_had_none_lately(line: Line) -> None:
    line.ask("a", "b")
    line.step.release()  # a is done, b computes
    eventually(lambda: len(line.begun) == 2)
    line.ask("b", "a")
    assert line.release_all() == ["a", "b", "a", "b"]


def test_one_client_cannot_fill_the_queue(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_WAITING_PER_CLIENT", 2)
    line.ask("greedy", "greedy", "greedy")
    with pytest.raises(HTTPException) as caught:
        line.futures[2].result(10)
    assert caught.value.status_code == 503
    assert "of your segmentations wait already" in str(caught.value.detail)
    (other,) = line.ask("other")
    assert line.turns.position(other) == 1


def test_a_ticket_that_needs_no_turn_is_over_unless_it_was_cancelled() -> None:
    queue, ticket = InferenceQueue(), Ticket("a")
    queue.skip(ticket)
    assert not queue.cancel(ticket, lambda: pytest.fail("nothing computes"))
    with pytest.raises(HTTPException) as caught:
        queue.skip(Ticket("a", cancelled=True))
    assert caught.value.status_code == 499


def test_the_queue_remembers_a_limited_number_of_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_REMEMBERED", 3)
    queue = InferenceQueue()
    for number in range(10):
        with queue.slot(Ticket(f"client {number}"), time.monotonic() + 5):
            pass
    assert list(queue._last_served) == ["client 7", "client 8", "client 9"]
