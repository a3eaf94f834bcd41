"""Two clients share one worker: nobody waits behind more than one of another client's."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from fastapi import HTTPException

from server_app.inference import queue as turns
from server_app.inference.queue import InferenceQueue, Ticket
from tests.server_app.conftest import eventually


class Line:
    """A queue whose computations last until they are let go, one by one."""

    def __init__(self) -> None:
        self.turns = InferenceQueue()
        self.begun: list[Ticket] = []
        self.step = threading.Semaphore(0)
        self.threads = ThreadPoolExecutor(24)
        self.futures: list[Future[None]] = []

    def ask(self, client: str) -> Ticket:
        """Ask for a turn; in the queue when this returns."""
        ticket = Ticket(client)

        def work() -> None:
            with self.turns.slot(ticket, time.monotonic() + 30):
                self.begun.append(ticket)
                assert self.step.acquire(timeout=30)

        before = self.turns.length()
        future = self.threads.submit(work)
        self.futures.append(future)
        eventually(lambda: self.turns.length() > before or future.done())
        return ticket

    def let_all_go(self) -> list[str]:
        """Let everybody compute; return the clients in the order of their turns."""
        for _ in self.futures:
            self.step.release()
        for future in self.futures:
            future.result(30)
        return [ticket.client for ticket in self.begun]


@pytest.fixture
def line():
    made = Line()
    yield made
    for _ in made.futures:
        made.step.release()
    made.threads.shutdown()


def test_a_client_that_comes_late_waits_behind_one_of_a_client_that_asked_for_many(line: Line) -> None:
    for _ in range(5):
        line.ask("many")
    eventually(lambda: line.begun)
    late = line.ask("late")
    assert line.turns.position(late) == 1
    assert line.let_all_go() == ["many", "late", "many", "many", "many", "many"]


def test_two_clients_that_ask_for_many_take_turns(line: Line) -> None:
    for client in ("a", "a", "a", "b", "b", "b"):
        line.ask(client)
    eventually(lambda: line.begun)
    assert line.let_all_go() == ["a", "b", "a", "b", "a", "b"]


def test_positions_are_those_in_which_they_will_compute(line: Line) -> None:
    tickets = [line.ask(client) for client in ("a", "a", "b", "c", "b")]
    eventually(lambda: line.begun)
    expected = [line.turns.position(ticket) for ticket in tickets]
    assert expected == [0, 3, 1, 2, 4]
    line.let_all_go()
    assert [line.begun.index(ticket) for ticket in tickets] == expected


def test_who_had_a_turn_just_now_comes_after_those_who_had_none_lately(line: Line) -> None:
    line.ask("a")
    eventually(lambda: line.begun)
    line.ask("b")
    line.step.release()  # a is done, b computes
    eventually(lambda: len(line.begun) == 2)
    line.ask("b")
    line.ask("a")
    assert line.let_all_go() == ["a", "b", "a", "b"]


def test_one_client_cannot_take_all_places(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_WAITING_PER_CLIENT", 2)
    line.ask("greedy")
    line.ask("greedy")
    line.ask("greedy")
    with pytest.raises(HTTPException) as caught:
        line.futures[2].result(10)
    assert caught.value.status_code == 503
    assert "of your segmentations wait already" in str(caught.value.detail)
    other = line.ask("other")
    eventually(lambda: line.begun)
    assert line.turns.position(other) == 1


def test_a_ticket_that_needs_no_turn_is_over_unless_it_was_cancelled() -> None:
    queue = InferenceQueue()
    ticket = Ticket("a")
    queue.skip(ticket)
    assert not queue.cancel(ticket, lambda: pytest.fail("nothing computes"))
    with pytest.raises(HTTPException) as caught:
        queue.skip(Ticket("a", cancelled=True))
    assert caught.value.status_code == 499


def test_the_queue_remembers_a_bounded_number_of_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_REMEMBERED", 3)
    queue = InferenceQueue()
    for number in range(10):
        with queue.slot(Ticket(f"client {number}"), time.monotonic() + 5):
            pass
    assert list(queue._last_served) == ["client 7", "client 8", "client 9"]
