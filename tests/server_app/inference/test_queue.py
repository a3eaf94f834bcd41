"""The queue in front of the inference process: one at a time, in order; a cancellation ends only what it names."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import HTTPException

from server_app.inference import queue as queue_module
from server_app.inference.queue import InferenceQueue, Ticket
from tests.server_app.conftest import eventually


class Computer:
    """Computes nothing, one after the other, each until it is let go."""

    def __init__(self) -> None:
        self.queue = InferenceQueue()
        self.begun: list[Ticket] = []
        self.release = threading.Event()
        self.threads = ThreadPoolExecutor(8)

    def compute(self, ticket: Ticket, give_up: float | None = None) -> Future[str]:
        """Start a computation; it is in the queue when this returns."""

        def work() -> str:
            with self.queue.slot(ticket, give_up or time.monotonic() + 20):
                self.begun.append(ticket)
                assert self.release.wait(20)
            return "result"

        before = len(self.queue._queue)
        future = self.threads.submit(work)
        eventually(lambda: len(self.queue._queue) > before or future.done())
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


def test_computations_run_in_the_order_of_arrival(computer: Computer) -> None:
    tickets = [Ticket() for _ in range(4)]
    futures = [computer.compute(ticket) for ticket in tickets]
    assert [computer.queue.position(ticket) for ticket in tickets] == [0, 1, 2, 3]
    assert computer.begun == tickets[:1]
    computer.release.set()
    assert [future.result(20) for future in futures] == ["result"] * 4
    assert computer.begun == tickets
    assert all(ticket.finished for ticket in tickets)


def test_a_cancelled_computation_counts_as_cancelled_even_if_it_succeeds(computer: Computer) -> None:
    first, second = Ticket(), Ticket()
    futures = [computer.compute(first), computer.compute(second)]
    ended: list[str] = []
    assert computer.queue.cancel(first, lambda: ended.append("killed"))
    assert ended == ["killed"]
    computer.release.set()
    assert status_of(lambda: futures[0].result(20)) == (499, "job")
    assert futures[1].result(20) == "result"


def test_an_error_lets_the_next_one_compute(computer: Computer) -> None:
    def fail() -> None:
        with computer.queue.slot(Ticket(), time.monotonic() + 20):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    computer.release.set()
    assert computer.compute(Ticket()).result(20) == "result"


def test_one_whose_turn_does_not_come_in_time_is_refused_and_the_rest_goes_on(computer: Computer) -> None:
    future = computer.compute(Ticket())
    started = time.monotonic()
    assert status_of(lambda: computer.compute(Ticket(), started + 0.3).result(20)) == (504, "")
    assert 0.2 < time.monotonic() - started < 5
    computer.release.set()
    assert future.result(20) == "result"


def test_a_full_queue_refuses_further_requests(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "MAX_WAITING", 2)
    futures = [computer.compute(Ticket()) for _ in range(2)]
    assert status_of(lambda: computer.compute(Ticket()).result(20)) == (503, "")
    computer.release.set()
    assert [future.result(20) for future in futures] == ["result"] * 2


def test_a_closed_queue_finishes_only_what_computes(computer: Computer) -> None:
    computing, waiting = computer.compute(Ticket()), computer.compute(Ticket())
    computer.queue.close()
    assert status_of(lambda: waiting.result(20)) == (503, "")
    assert status_of(lambda: computer.compute(Ticket()).result(20)) == (503, "")
    computer.release.set()
    assert computing.result(20) == "result"


def test_tickets_that_look_alike_are_different() -> None:
    assert Ticket() != Ticket()
    queue = InferenceQueue()
    assert queue.position(Ticket()) == 0
    assert queue.cancel(Ticket(), lambda: pytest.fail("nothing computes"))
