"""Jobs: what runs on which thread, when results are delivered, and what becomes of errors."""

import threading
import time
from functools import partial

import pytest
from TumorLoopLib.client.errors import Cancelled, ServerTimeout
from TumorLoopLib.jobs.jobs import LINGER, YIELD, Handlers, Jobs, Progress, Reporter


class Calls:
    """Jobs, and a record of the calls of their handlers and the threads of these."""

    def __init__(self):
        self.made, self.threads = [], set()
        self.crashes: list[Exception] = []
        self.jobs = Jobs(self.crashes.append)
        self.handlers = Handlers(*(partial(self._record, name) for name in ("done", "failed", "cancelled", "progress")))

    def start(self, kind, work, handlers=None) -> bool:
        return self.jobs.start(kind, work, handlers or self.handlers)

    def poll(self, condition=None) -> None:
        """Poll until a condition holds, or until no job is running."""
        deadline = time.monotonic() + 5
        while not condition() if condition is not None else self.jobs.running():
            self.jobs.poll()
            assert time.monotonic() < deadline

    def _record(self, name, *values):
        self.made.append((name, *values))
        self.threads.add(threading.current_thread())


@pytest.fixture
def calls():
    return Calls()


@pytest.fixture
def gate():
    return threading.Event()


def raiser(error):
    def fail(_):
        raise error

    return fail


def test_work_runs_on_another_thread_and_its_result_is_delivered_on_this_one_when_it_polls(calls, gate):
    calls.start("a", lambda reporter: (gate.set(), threading.current_thread())[1])
    assert gate.wait(5)
    assert calls.made == []
    assert calls.jobs.running("a")
    calls.poll()
    name, worker = calls.made[-1]
    assert name == "done"
    assert worker is not threading.current_thread()
    assert calls.threads == {threading.current_thread()}


def test_an_error_of_the_work_is_passed_to_the_handler_and_one_in_a_handler_does_not_stop_the_others(calls):
    late, typo = ServerTimeout("it is late"), raiser(KeyError("typo"))
    calls.start("a", raiser(late))
    calls.start("b", lambda reporter: 1, Handlers(typo, typo))
    calls.start("c", lambda reporter: 2)
    calls.poll()
    assert ("failed", late) in calls.made
    assert ("done", 2) in calls.made
    assert [type(error) for error in calls.crashes] == [KeyError]


def test_a_cancelled_job_ends_as_cancelled_and_not_as_failed(calls):
    calls.start("a", lambda reporter: (reporter.cancel.wait(5), reporter.check()))
    assert not calls.jobs.cancelling("a")
    calls.jobs.cancel("a")
    assert calls.jobs.cancelling("a")
    calls.poll()
    assert calls.made[-1] == ("cancelled",)
    assert all(name != "failed" for name, *_ in calls.made)


def test_two_jobs_of_one_kind_do_not_run_at_once_but_a_handler_may_start_the_next(calls, gate):
    calls.start("c", lambda reporter: 1, Handlers(lambda _: calls.start("c", lambda reporter: "next"), print))
    assert calls.start("a", lambda reporter: gate.wait(5))
    assert not calls.start("a", lambda reporter: "second")
    assert calls.start("b", lambda reporter: "other kind")
    gate.set()
    calls.poll()
    assert ("done", "second") not in calls.made
    assert {("done", "other kind"), ("done", "next")} <= set(calls.made)


def test_an_abandoned_job_is_cancelled_and_calls_no_handler(calls, gate):
    calls.start("a", lambda reporter: reporter.cancel.wait(5) and gate.set())
    calls.jobs.abandon()
    assert gate.wait(2)
    calls.jobs.poll()
    assert calls.made == []
    assert not calls.jobs.running()


@pytest.mark.parametrize("how", ["ended", "abandoned"])
def test_threads_that_a_job_leaves_running_get_time_for_a_while(calls, how, monkeypatch):
    slept: list[float] = []
    calls.start("a", lambda reporter: how == "ended" or reporter.cancel.wait(5))
    (calls.poll if how == "ended" else calls.jobs.abandon)()
    monkeypatch.setattr("TumorLoopLib.jobs.jobs.time.sleep", slept.append)
    calls.jobs.poll()
    assert slept == [YIELD]
    now = time.monotonic()
    monkeypatch.setattr("TumorLoopLib.jobs.jobs.time.monotonic", lambda: now + LINGER + 1)
    calls.jobs.poll()
    assert slept == [YIELD]


def test_a_handler_that_polls_again_ends_no_job_twice(calls, gate):
    both_ended = threading.Barrier(3)

    def ask(_result):  # a message box runs the event loop, and with it the timer that polls
        calls.jobs.poll()
        calls.start("b", lambda reporter: "next")

    calls.start("a", lambda reporter: gate.wait(5) and both_ended.wait(5) >= 0 and "asks", Handlers(ask, ask))
    calls.start("b", lambda reporter: gate.wait(5) and both_ended.wait(5) >= 0 and "first")
    gate.set()
    both_ended.wait(5)
    for job in list(calls.jobs._jobs.values()):
        job._thread.join(5)
    calls.poll()
    assert [values[0] for name, *values in calls.made if name == "done"] == ["first", "next"]


def test_progress_and_partial_results_are_delivered_while_the_job_runs(calls, gate):
    def work(reporter):
        reporter.stage("sending")
        reporter.progress(5, 10)
        reporter.publish("half")
        gate.wait(5)

    calls.start("a", work)
    calls.poll(
        lambda: any(
            name == "progress" and values[0].stage == "sending" and values[1] == "half" for name, *values in calls.made
        )
    )
    gate.set()
    calls.poll()


def test_a_poll_lets_the_worker_threads_run(calls, gate):
    """In Slicer they stand still otherwise: it holds Python's lock while it waits for events."""
    calls.start("a", lambda reporter: gate.wait(5))
    before = time.perf_counter()
    calls.jobs.poll()
    taken = time.perf_counter() - before
    gate.set()
    calls.poll()
    assert 0.004 <= taken < 0.1


def test_a_new_stage_resets_the_bytes_and_raises_after_cancel():
    reporter = Reporter()
    reporter.stage("sending")
    reporter.progress(7, 10)
    reporter.stage("sending")
    assert reporter.snapshot().done == 7
    reporter.stage("waiting")
    assert (reporter.snapshot().done, reporter.snapshot().total) == (0, 0)
    reporter.cancel.set()
    with pytest.raises(Cancelled):
        reporter.stage("computing")


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
def test_the_remaining_time_is_estimated_only_if_that_is_possible(progress, eta):
    assert progress.eta == (pytest.approx(eta) if eta is not None else None)
