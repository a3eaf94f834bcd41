"""Inferences that their clients named: followed and cancelled on a real server, and remembered for a while."""

from __future__ import annotations

import contextlib
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import requests
from fastapi import HTTPException

from server_app.inference import jobs
from server_app.inference.jobs import Jobs
from server_app.inference.worker import InferenceWorker
from server_app.inference.worker_child import STAGES
from tests.server_app.conftest import CASES, Server, accepted, eventually, is_gone, refused

CASE = CASES[0]


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def job_id() -> str:
    return f"job{uuid.uuid4().hex}"


@pytest.fixture
def worker(server: Server) -> Iterator[psutil.Process]:
    """The inference process, loaded, and suspended: what it computes does not end until it is resumed or killed."""
    accepted(server.infer(image=CASE))
    process = server.worker()
    assert process is not None
    process.suspend()
    yield process
    with contextlib.suppress(psutil.NoSuchProcess):
        process.resume()


def infer(server: Server, job: str, **params: Any) -> requests.Response:
    return server.infer({"job": job, **params}, image=CASE)


def state(server: Server, job: str) -> dict[str, Any]:
    """What the server says about a job; empty before it knows it."""
    answer = server.request("GET", f"/jobs/{job}")
    return {} if answer.status_code == 404 else dict(accepted(answer))


def when(server: Server, job: str, **facts: Any) -> dict[str, Any]:
    """Wait until a job is as described."""
    return dict(eventually(lambda: facts.items() <= (found := state(server, job)).items() and found, seconds=60))


def submitted(server: Server, clients: ThreadPoolExecutor, job: str, position: int) -> Future[requests.Response]:
    """Start an inference; it is computed or waits when this returns."""
    future = clients.submit(infer, server, job)
    when(server, job, state="waiting" if position else "computing", position=position)
    return future


def a_second(server: Server) -> float:
    """A second, and more on a machine so busy that even the simplest answer takes long."""
    started = time.monotonic()
    server.request("GET", "/jobs/00000000")
    return 1.0 + 5 * (time.monotonic() - started)


def cancel(server: Server, job: str) -> dict[str, Any]:
    limit, started = a_second(server), time.monotonic()
    answer = server.request("DELETE", f"/jobs/{job}")
    assert time.monotonic() - started < limit
    return dict(accepted(answer))


def test_an_inference_is_followed_from_the_queue_to_its_end(
    server: Server, worker: psutil.Process, clients: ThreadPoolExecutor, job_id: str
) -> None:
    first = submitted(server, clients, f"{job_id}0", position=0)
    waiting = submitted(server, clients, job_id, position=1)
    expected = {"id": job_id, "state": "waiting", "position": 1, "share": 0.0, "stage": "waiting"}
    assert state(server, job_id) == expected
    seen = []
    while (found := state(server, f"{job_id}0"))["state"] == "computing":
        seen.append((found["share"], found["stage"]))
        worker.resume()
        time.sleep(0.01)
        worker.suspend()
    worker.resume()
    shares, stages = zip(*seen, strict=True)
    assert list(stages) == sorted(stages, key=STAGES.index)
    assert list(shares) == sorted(shares)
    assert any(0 < share < 1 for share in shares)
    assert first.result().status_code == waiting.result().status_code == 200
    done = {"id": job_id, "state": "done", "position": 0, "share": 1.0, "stage": "done"}
    assert when(server, job_id, state="done") == done
    assert cancel(server, job_id) == done
    assert server.worker() == worker


def test_an_id_in_use_is_refused_even_after_its_job_has_ended(
    server: Server, worker: psutil.Process, clients: ThreadPoolExecutor, job_id: str
) -> None:
    first = submitted(server, clients, job_id, position=0)
    assert refused(infer(server, job_id), 409)["field"] == "job"
    worker.resume()
    accepted(first.result())
    assert refused(infer(server, job_id), 409)["field"] == "job"
    assert state(server, job_id)["state"] == "done"


def test_a_client_that_hangs_up_does_not_cancel(server: Server, worker: psutil.Process, job_id: str) -> None:
    address = urlsplit(server.url)
    body = f'--x\r\nContent-Disposition: form-data; name="params"\r\n\r\n{{"job": "{job_id}"}}\r\n--x--\r\n'
    head = (
        f"POST /infer/tumorloop?image={CASE} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 10) as connection:
        connection.sendall((head + body).encode())
        when(server, job_id, state="computing")
    worker.resume()
    assert when(server, job_id, state="done")["share"] == 1.0
    eventually(lambda: list((server.workspace / "incoming").iterdir()) == [])


# === Cancelling ===


def test_a_cancelled_computation_ends_within_a_second_leaves_nothing_and_the_network_is_loaded_again(
    server: Server, worker: psutil.Process, clients: ThreadPoolExecutor, job_id: str
) -> None:
    answer = server.workspace / "answers" / CASE
    before = {path.name: path.stat().st_mtime_ns for path in answer.iterdir()}
    computing = submitted(server, clients, job_id, position=0)
    limit, started = a_second(server), time.monotonic()
    assert cancel(server, job_id)["state"] == "cancelled"
    found = refused(computing.result(10), 499)
    assert time.monotonic() - started < limit
    assert (found["field"], "cancelled" in found["message"]) == ("job", True)
    assert when(server, job_id, state="cancelled")["position"] == 0
    assert is_gone(worker)
    assert list((server.workspace / "incoming").iterdir()) == []
    assert {path.name: path.stat().st_mtime_ns for path in answer.iterdir()} == before
    process = eventually(lambda: server.worker() not in (None, worker) and server.worker())
    accepted(server.infer(image=CASE))
    assert server.worker() == process


def test_a_waiting_job_is_computed_although_others_are_cancelled_again_and_again(
    server: Server, worker: psutil.Process, clients: ThreadPoolExecutor, job_id: str
) -> None:
    cancelled = [f"{job_id}{number}" for number in range(3)]
    futures = [submitted(server, clients, job, position) for position, job in enumerate(cancelled[:2])]
    survivor = submitted(server, clients, job_id, position=2)
    futures.append(submitted(server, clients, cancelled[2], position=3))
    cancel(server, cancelled[0])
    when(server, cancelled[1], state="computing")
    when(server, job_id, state="waiting", position=1)
    cancel(server, cancelled[1])
    cancel(server, cancelled[2])
    accepted(survivor.result(120))
    assert [future.result(10).status_code for future in futures] == [499] * 3


def test_while_many_wait_the_server_answers_and_cancelling_them_leaves_the_computing_one_alone(
    server: Server, worker: psutil.Process, clients: ThreadPoolExecutor, job_id: str
) -> None:
    computing = submitted(server, clients, f"{job_id}0", position=0)
    waiting = {f"{job_id}{number}": submitted(server, clients, f"{job_id}{number}", number) for number in range(1, 6)}
    for path in ("/info/", "/cases", "/versions", "/datastore/", f"/jobs/{job_id}0"):
        started = time.monotonic()
        server.get(path)
        assert time.monotonic() - started < 2.0
    for job in reversed(waiting):
        limit, started = a_second(server), time.monotonic()
        assert cancel(server, job)["state"] == "cancelled"
        assert refused(waiting[job].result(10), 499)["field"] == "job"
        assert time.monotonic() - started < limit
    assert not computing.done()
    worker.resume()
    accepted(computing.result(60))
    assert server.worker() == worker


def test_a_failed_job_and_one_that_was_cancelled_before_it_arrived_say_so(server: Server, job_id: str) -> None:
    assert refused(infer(server, job_id, reference="t3"))["field"] == "reference"
    assert state(server, job_id)["state"] == cancel(server, job_id)["state"] == "failed"
    early = f"{job_id}0"
    assert refused(server.request("DELETE", f"/jobs/{early}"), 404)["field"] == "job"
    assert refused(infer(server, early), 499)["field"] == "job"
    assert state(server, early)["state"] == "cancelled"


# === How long jobs are remembered ===


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """A registry of two jobs at most, of a worker that is never started."""
    monkeypatch.setattr(jobs, "KEEP", 2)
    monkeypatch.setattr(jobs, "EARLY", 2)
    return Jobs(InferenceWorker(tmp_path, tmp_path))


def ended(registry: Jobs, *names: str) -> None:
    for name in names:
        with registry.tracked(name):
            pass


def is_known(registry: Jobs, name: str) -> bool:
    try:
        return bool(registry.describe(name))
    except HTTPException:
        return False


def test_only_the_last_jobs_and_those_under_way_are_remembered(registry: Jobs) -> None:
    with registry.tracked("underway0"):
        ended(registry, "aaaaaaaa", "bbbbbbbb", "cccccccc")
        names = ("underway0", "aaaaaaaa", "bbbbbbbb", "cccccccc")
        assert [is_known(registry, name) for name in names] == [True, False, True, True]


def test_jobs_are_forgotten_after_some_minutes(registry: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(registry, "aaaaaaaa")
    monkeypatch.setattr(jobs, "KEEP_SECONDS", 0.0)
    ended(registry, "bbbbbbbb")
    assert [is_known(registry, name) for name in ("aaaaaaaa", "bbbbbbbb")] == [False, True]


def test_cancellations_of_unknown_jobs_do_not_pile_up(registry: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("aaaaaaaa", "bbbbbbbb", "cccccccc"):
        with pytest.raises(HTTPException, match="404"):
            registry.cancel(name)
    assert sorted(registry._early) == ["aaaaaaaa", "bbbbbbbb"]
    monkeypatch.setattr(jobs, "EARLY_SECONDS", 0.0)
    with registry.tracked("aaaaaaaa") as ticket:
        assert not ticket.cancelled
