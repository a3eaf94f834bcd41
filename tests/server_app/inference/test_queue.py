"""The queue before the inference process: one at a time, in order, and a cancellation takes only what it names."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import HTTPException

from server_app.inference import queue as turns
from server_app.inference.queue import InferenceQueue, Ticket
from tests.server_app.conftest import eventually


def soon() -> float:
    return time.monotonic() + 20


def nothing() -> None:
    """End a computation that needs no ending."""


class Computer:
    """Computes nothing, one after the other, each until it is let go."""

    def __init__(self) -> None:
        self.turns = InferenceQueue()
        self.begun: list[Ticket] = []
        self.release = threading.Event()
        self.threads = ThreadPoolExecutor(8)

    def compute(self, ticket: Ticket, give_up: float | None = None) -> Future[str]:
        """Start a computation; it is in the queue when this returns."""

        def work() -> str:
            with self.turns.slot(ticket, give_up or soon()):
                self.begun.append(ticket)
                assert self.release.wait(20)
            return "result"

        before = len(self.turns._queue)
        future = self.threads.submit(work)
        eventually(lambda: len(self.turns._queue) > before or future.done())
        return future


@pytest.fixture
def computer():
    made = Computer()
    yield made
    made.release.set()
    made.threads.shutdown()


def status_of(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(HTTPException) as caught:
        call()
    return caught.value.status_code, caught.value.detail["field"]  # type: ignore[index]


def test_they_compute_in_the_order_of_their_coming(computer: Computer) -> None:
    tickets = [Ticket() for _ in range(4)]
    futures = [computer.compute(ticket) for ticket in tickets]
    assert [computer.turns.position(ticket) for ticket in tickets] == [0, 1, 2, 3]
    assert computer.begun == tickets[:1]
    computer.release.set()
    assert [future.result(20) for future in futures] == ["result"] * 4
    assert computer.begun == tickets
    assert all(ticket.finished for ticket in tickets)


def test_one_that_is_cancelled_while_it_waits_never_begins_and_ends_nothing(computer: Computer) -> None:
    first, second, third = Ticket(), Ticket(), Ticket()
    futures = [computer.compute(ticket) for ticket in (first, second, third)]
    assert computer.turns.cancel(second, lambda: pytest.fail("another one computes"))
    assert status_of(lambda: futures[1].result(20)) == (499, "job")
    assert computer.turns.position(third) == 1
    computer.release.set()
    assert futures[0].result(20) == futures[2].result(20) == "result"
    assert computer.begun == [first, third]


def test_the_one_that_computes_is_ended_and_whatever_comes_of_it_counts_as_cancelled(computer: Computer) -> None:
    first, second = Ticket(), Ticket()
    futures = [computer.compute(first), computer.compute(second)]
    ended: list[str] = []
    assert computer.turns.cancel(first, lambda: ended.append("killed"))
    assert ended == ["killed"]
    computer.release.set()  # its computation succeeds all the same; nobody wants the result
    assert status_of(lambda: futures[0].result(20)) == (499, "job")
    assert futures[1].result(20) == "result"


def test_what_is_over_cannot_be_cancelled(computer: Computer) -> None:
    ticket = Ticket()
    computer.release.set()
    assert computer.compute(ticket).result(20) == "result"
    assert not computer.turns.cancel(ticket, lambda: pytest.fail("it is over"))
    assert not ticket.cancelled


def test_one_that_was_cancelled_before_it_came_does_not_begin(computer: Computer) -> None:
    ticket = Ticket(cancelled=True)
    assert status_of(lambda: computer.compute(ticket).result(20)) == (499, "job")
    assert computer.begun == []


def test_an_error_leaves_the_turn_to_the_next(computer: Computer) -> None:
    def fail() -> None:
        with computer.turns.slot(Ticket(), soon()):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    computer.release.set()
    assert computer.compute(Ticket()).result(20) == "result"


def test_whose_turn_does_not_come_in_time_is_told_so_and_the_rest_goes_on(computer: Computer) -> None:
    first, late = Ticket(), Ticket()
    future = computer.compute(first)
    started = time.monotonic()
    assert status_of(lambda: computer.compute(late, started + 0.3).result(20)) == (504, "")
    assert 0.2 < time.monotonic() - started < 5
    computer.release.set()
    assert future.result(20) == "result"


def test_too_many_are_turned_away(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_WAITING", 2)
    futures = [computer.compute(Ticket()) for _ in range(2)]
    assert status_of(lambda: computer.compute(Ticket()).result(20)) == (503, "")
    computer.release.set()
    assert [future.result(20) for future in futures] == ["result"] * 2


def test_nobody_has_a_turn_after_the_end(computer: Computer) -> None:
    computing = computer.compute(Ticket())
    waiting = computer.compute(Ticket())
    computer.turns.close()
    assert status_of(lambda: waiting.result(20)) == (503, "")
    assert status_of(lambda: computer.compute(Ticket()).result(20)) == (503, "")
    computer.release.set()
    assert computing.result(20) == "result"


def test_tickets_that_look_alike_are_different() -> None:
    assert Ticket() != Ticket()
    queue = InferenceQueue()
    assert queue.position(Ticket()) == 0
    assert queue.cancel(Ticket(), nothing)
