"""The queue in front of the inference process: one at a time, in order, and no client before its turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from fastapi import HTTPException

from server_app.inference import queue as module
from server_app.inference.queue import InferenceQueue, Ticket
from tests.server_app.conftest import eventually


class Computer:
    """Computes nothing, one after the other, each until it is released."""

    def __init__(self) -> None:
        self.queue = InferenceQueue()
        self.begun: list[Ticket] = []
        self.step = threading.Semaphore(0)
        self.threads = ThreadPoolExecutor(24)
        self.futures: list[Future[str]] = []

    def submit(self, *clients: str, seconds: float = 30.0) -> list[Ticket]:
        """Submit a computation of each client; they are in the queue, or refused, when this returns."""
        tickets = [Ticket(client) for client in clients]
        for ticket in tickets:
            before = self.queue.length()
            future = self.threads.submit(self._compute, ticket, seconds)
            self.futures.append(future)
            eventually(lambda: self.queue.length() > before or future.done())  # noqa: B023 - called at once
        eventually(lambda: self.begun)
        return tickets

    def _compute(self, ticket: Ticket, seconds: float) -> str:
        with self.queue.slot(ticket, time.monotonic() + seconds):
            self.begun.append(ticket)
            assert self.step.acquire(timeout=30)
        return "result"

    def release_all(self) -> list[str | int]:
        """Let everybody compute; return the results and the statuses of the refusals, in the order of arrival."""
        self.step.release(len(self.futures))
        return [outcome(future) for future in self.futures]


def outcome(future: Future[str]) -> str | int:
    try:
        return future.result(30)
    except HTTPException as error:
        return error.status_code


@pytest.fixture
def computer() -> Iterator[Computer]:
    made = Computer()
    yield made
    made.step.release(max(1, len(made.futures)))
    made.threads.shutdown()


@pytest.mark.parametrize(
    ("clients", "positions"),
    [("aaaa", [0, 1, 2, 3]), ("mmmmml", [0, 2, 3, 4, 5, 1]), ("aabcba", [0, 3, 1, 2, 4, 5])],
    ids=["one client", "a late client", "several clients"],
)
def test_clients_take_turns_in_the_positions_that_they_were_given(
    computer: Computer, clients: str, positions: list[int]
) -> None:
    tickets = computer.submit(*clients)
    assert [computer.queue.position(ticket) for ticket in tickets] == positions
    assert computer.begun == tickets[:1]
    assert computer.release_all() == ["result"] * len(clients)
    assert [computer.begun.index(ticket) for ticket in tickets] == positions
    assert all(ticket.finished for ticket in tickets)


def test_a_client_that_just_had_a_turn_comes_after_those_that_had_none_lately(computer: Computer) -> None:
    computer.submit("a", "b")
    computer.step.release()  # a is done, b computes
    eventually(lambda: len(computer.begun) == 2)
    computer.submit("b", "a")
    computer.release_all()
    assert [ticket.client for ticket in computer.begun] == ["a", "b", "a", "b"]


def test_a_cancelled_computation_counts_as_cancelled_even_if_it_succeeds(computer: Computer) -> None:
    first, _ = computer.submit("a", "a")
    ended: list[str] = []
    assert computer.queue.cancel(first, lambda: ended.append("killed"))
    assert ended == ["killed"]
    assert computer.release_all() == [499, "result"]


def test_an_error_lets_the_next_one_compute(computer: Computer) -> None:
    with pytest.raises(ZeroDivisionError), computer.queue.slot(Ticket(), time.monotonic() + 20):
        divmod(1, 0)
    computer.submit("a")
    assert computer.release_all() == ["result"]


def test_one_whose_turn_does_not_come_in_time_is_refused_and_the_rest_goes_on(computer: Computer) -> None:
    started = time.monotonic()
    computer.submit("a")
    computer.submit("a", seconds=0.3)
    assert outcome(computer.futures[1]) == 504
    assert 0.2 < time.monotonic() - started < 5
    assert computer.release_all() == ["result", 504]


@pytest.mark.parametrize(
    ("limit", "message"), [("MAX_WAITING", "wait already"), ("MAX_WAITING_PER_CLIENT", "of your segmentations wait")]
)
def test_a_full_queue_refuses_further_requests(
    computer: Computer, monkeypatch: pytest.MonkeyPatch, limit: str, message: str
) -> None:
    monkeypatch.setattr(module, limit, 2)
    computer.submit("greedy", "greedy", "greedy")
    with pytest.raises(HTTPException, match=message):
        computer.futures[2].result(10)
    if limit == "MAX_WAITING_PER_CLIENT":
        (other,) = computer.submit("other")
        assert computer.queue.position(other) == 1
    assert computer.release_all()[:3] == ["result", "result", 503]


def test_a_closed_queue_finishes_only_what_computes(computer: Computer) -> None:
    computer.submit("a", "a")
    computer.queue.close()
    computer.submit("a")
    assert computer.release_all() == ["result", 503, 503]


def test_a_ticket_that_needs_no_turn_is_finished_unless_it_was_cancelled() -> None:
    queue, ticket = InferenceQueue(), Ticket("a")
    assert ticket != Ticket("a")
    queue.skip(ticket)
    assert not queue.cancel(ticket, lambda: pytest.fail("nothing computes"))
    with pytest.raises(HTTPException) as caught:
        queue.skip(Ticket("a", cancelled=True))
    assert caught.value.status_code == 499
    assert queue.position(Ticket()) == 0
    assert queue.cancel(Ticket(), lambda: pytest.fail("nothing computes"))


def test_the_queue_remembers_a_limited_number_of_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    queue = InferenceQueue()
    for number in range(10):
        with queue.slot(Ticket(f"client {number}"), time.monotonic() + 5):
            pass
    assert list(queue._last_served) == ["client 7", "client 8", "client 9"]
