"""Jobs: what runs where, what is handed over when, and what becomes of failure."""

from __future__ import annotations

import threading
import time

import pytest
from TumorLoopLib.client.errors import Cancelled, ServerTimeout
from TumorLoopLib.jobs.jobs import LINGER, YIELD, Handlers, Jobs, Progress, Reporter


class PanelContext:
    """Collects what the handlers are told, and on which thread."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.threads: set[threading.Thread] = set()
        self.crashes: list[Exception] = []
        self.jobs = Jobs(self.crashes.append)

    def handlers(self) -> Handlers:
        return Handlers(
            done=lambda result: self._tell("done", result),
            failed=lambda error: self._tell("failed", error),
            cancelled=lambda: self._tell("cancelled", None),
            progress=lambda progress, partial: self._tell("progress", (progress.stage, partial)),
        )

    def poll_until_idle(self, seconds: float = 5.0) -> None:
        give_up = time.monotonic() + seconds
        while self.jobs.running():
            self.jobs.poll()
            assert time.monotonic() < give_up, "the job does not end"

    def _tell(self, what: str, value: object) -> None:
        self.told.append((what, value))
        self.threads.add(threading.current_thread())


@pytest.fixture
def context() -> PanelContext:
    return PanelContext()


def test_work_runs_on_another_thread_and_its_result_is_handed_over_on_this_one(context):
    context.jobs.start("a", lambda reporter: threading.current_thread(), context.handlers())
    context.poll_until_idle()
    (what, worker) = context.told[-1]
    assert what == "done"
    assert worker is not threading.current_thread()
    assert context.threads == {threading.current_thread()}


def test_nothing_is_handed_over_before_somebody_polls(context):
    context.jobs.start("a", lambda reporter: 1, context.handlers())
    time.sleep(0.05)
    assert context.told == []
    assert context.jobs.running("a")


def test_an_error_of_the_work_reaches_the_handler_as_it_is(context):
    def work(reporter: Reporter) -> None:
        raise ServerTimeout("it is late")

    context.jobs.start("a", work, context.handlers())
    context.poll_until_idle()
    what, error = context.told[-1]
    assert what == "failed"
    assert isinstance(error, ServerTimeout)


def test_a_cancelled_job_ends_as_cancelled_and_not_as_failed(context):
    def work(reporter: Reporter) -> None:
        while True:
            reporter.check()
            time.sleep(0.01)

    context.jobs.start("a", work, context.handlers())
    assert not context.jobs.cancelling("a")
    context.jobs.cancel("a")
    assert context.jobs.cancelling("a")
    context.poll_until_idle(1.0)
    assert context.told[-1] == ("cancelled", None)
    assert all(what != "failed" for what, _ in context.told)


def test_two_jobs_of_one_kind_do_not_run_at_once(context):
    gate = threading.Event()
    assert context.jobs.start("a", lambda reporter: gate.wait(5), context.handlers())
    assert not context.jobs.start("a", lambda reporter: "second", context.handlers())
    assert context.jobs.start("b", lambda reporter: "other kind", context.handlers())
    gate.set()
    context.poll_until_idle()
    assert ("done", "second") not in context.told
    assert ("done", "other kind") in context.told


def test_an_abandoned_job_tells_nobody_anything_and_is_cancelled(context):
    seen = threading.Event()

    def work(reporter: Reporter) -> str:
        reporter.cancel.wait(5)
        seen.set()
        return "late"

    context.jobs.start("a", work, context.handlers())
    context.jobs.abandon()
    assert seen.wait(2)
    context.jobs.poll()
    assert context.told == []
    assert not context.jobs.running()


@pytest.mark.parametrize("how", ["ended", "abandoned"])
def test_what_a_job_leaves_running_gets_time_for_a_while(context, how, monkeypatch):
    slept: list[float] = []
    context.jobs.start("a", lambda reporter: how == "ended" or reporter.cancel.wait(5), context.handlers())
    if how == "ended":
        context.poll_until_idle()
    else:
        context.jobs.abandon()
    monkeypatch.setattr("TumorLoopLib.jobs.jobs.time.sleep", slept.append)
    context.jobs.poll()
    assert slept == [YIELD]
    now = time.monotonic()
    monkeypatch.setattr("TumorLoopLib.jobs.jobs.time.monotonic", lambda: now + LINGER + 1)
    context.jobs.poll()
    assert slept == [YIELD]


def test_a_handler_may_start_the_next_job_of_its_kind(context):
    handlers = context.handlers()
    chain = Handlers(lambda result: context.jobs.start("a", lambda reporter: "next", handlers), handlers.failed)
    context.jobs.start("a", lambda reporter: "first", chain)
    context.poll_until_idle()
    assert ("done", "next") in context.told


def test_a_handler_that_asks_something_and_so_polls_again_ends_no_job_twice(context):
    def ask(_result: object) -> None:  # a message box runs the event loop, and with it the timer that polls
        context.jobs.poll()
        context.jobs.start("b", lambda reporter: "the next one", context.handlers())

    done = threading.Event()
    context.jobs.start("a", lambda reporter: done.wait(5), Handlers(ask, ask))
    context.jobs.start("b", lambda reporter: done.wait(5) and "first", context.handlers())
    done.set()
    time.sleep(0.1)
    context.poll_until_idle()
    assert [value for what, value in context.told if what == "done"] == ["first", "the next one"]


def test_a_mistake_in_a_handler_is_shown_and_does_not_stop_the_others(context):
    def mistake(result: object) -> None:
        raise KeyError("typo")

    context.jobs.start("a", lambda reporter: 1, Handlers(mistake, mistake))
    context.jobs.start("b", lambda reporter: 2, context.handlers())
    context.poll_until_idle()
    assert [type(error) for error in context.crashes] == [KeyError]
    assert ("done", 2) in context.told


def test_progress_and_partial_results_are_seen_while_the_job_runs(context):
    gate = threading.Event()

    def work(reporter: Reporter) -> None:
        reporter.stage("sending")
        reporter.progress(5, 10)
        reporter.publish("half")
        gate.wait(5)

    context.jobs.start("a", work, context.handlers())
    give_up = time.monotonic() + 5
    while ("progress", ("sending", "half")) not in context.told:
        context.jobs.poll()
        assert time.monotonic() < give_up
    gate.set()
    context.poll_until_idle()


def test_a_poll_lets_the_worker_threads_run(context):
    """In Slicer they stand still otherwise: it holds Python's lock while it waits for events."""
    gate = threading.Event()
    context.jobs.start("a", lambda reporter: gate.wait(5), context.handlers())
    before = time.perf_counter()
    context.jobs.poll()
    taken = time.perf_counter() - before
    gate.set()
    context.poll_until_idle()
    assert 0.004 <= taken < 0.1


def test_a_stage_that_is_entered_after_cancel_raises():
    reporter = Reporter()
    reporter.cancel.set()
    with pytest.raises(Cancelled):
        reporter.stage("computing")


def test_a_new_stage_forgets_the_bytes_of_the_last_one():
    reporter = Reporter()
    reporter.stage("sending")
    reporter.progress(7, 10)
    reporter.stage("sending")
    assert reporter.snapshot().done == 7
    reporter.stage("waiting")
    assert (reporter.snapshot().done, reporter.snapshot().total) == (0, 0)


@pytest.mark.parametrize(
    ("progress", "eta"),
    [
        (Progress("a", share=0.25, seconds=10.0), 30.0),
        (Progress("a", done=50, total=100, seconds=4.0), 4.0),
        (Progress("a", share=0.01, seconds=10.0), None),
        (Progress("a", share=0.5, seconds=0.1), None),
        (Progress("a", seconds=9.0), None),
    ],
)
def test_the_remaining_time_is_told_only_when_it_can_be(progress, eta):
    assert progress.eta == (pytest.approx(eta) if eta is not None else None)
