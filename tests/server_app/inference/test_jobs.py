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


class Client:
    """Sends requests at the same time; its jobs are numbered."""

    def __init__(self, server: Server, pool: ThreadPoolExecutor) -> None:
        self.server, self.pool, self._name = server, pool, f"job{uuid.uuid4().hex}"

    def id(self, job: int) -> str:
        return f"{self._name}{job}"

    def infer(self, job: int, **params: Any) -> requests.Response:
        return self.server.infer({"job": self.id(job), **params}, image=CASE)

    def submit(self, job: int) -> Future[requests.Response]:
        """Start an inference behind as many others as its number says; it is computed or waits on return."""
        future = self.pool.submit(self.infer, job)
        self.wait_for(job, state="waiting" if job else "computing", position=job)
        return future

    def state(self, job: int) -> dict[str, Any]:
        """What the server says about a job; empty before it knows it."""
        answer = self.server.request("GET", f"/jobs/{self.id(job)}")
        return {} if answer.status_code == 404 else dict(accepted(answer))

    def wait_for(self, job: int, **facts: Any) -> dict[str, Any]:
        """Wait until a job is as described."""
        return dict(eventually(lambda: facts.items() <= (found := self.state(job)).items() and found, seconds=60))

    def cancel(self, job: int) -> dict[str, Any]:
        with self.within_a_second():
            return dict(accepted(self.server.request("DELETE", f"/jobs/{self.id(job)}")))

    @contextlib.contextmanager
    def within_a_second(self) -> Iterator[None]:
        """A second, and more on a machine so busy that even the simplest answer takes long."""
        started = time.monotonic()
        self.server.request("GET", "/jobs/00000000")
        limit, started = 1.0 + 5 * (time.monotonic() - started), time.monotonic()
        yield
        assert time.monotonic() - started < limit


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with ThreadPoolExecutor(8) as pool:
        yield Client(server, pool)


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


def test_an_inference_is_followed_from_the_queue_to_its_end(client: Client, worker: psutil.Process) -> None:
    first, waiting = client.submit(0), client.submit(1)
    expected = {"id": client.id(1), "state": "waiting", "position": 1, "share": 0.0, "stage": "waiting"}
    assert client.state(1) == expected
    assert refused(client.infer(0), 409)["field"] == "job"  # the id is in use, also after the end
    seen = []
    while (found := client.state(0))["state"] == "computing":
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
    done = {**expected, "state": "done", "position": 0, "share": 1.0, "stage": "done"}
    assert client.wait_for(1, state="done") == client.cancel(1) == done
    assert refused(client.infer(0), 409)["field"] == "job"
    assert client.state(0)["state"] == "done"
    assert client.server.worker() == worker


def test_a_client_that_hangs_up_does_not_cancel(client: Client, worker: psutil.Process) -> None:
    server, address = client.server, urlsplit(client.server.url)
    body = f'--x\r\nContent-Disposition: form-data; name="params"\r\n\r\n{{"job": "{client.id(0)}"}}\r\n--x--\r\n'
    head = (
        f"POST /infer/tumorloop?image={CASE} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 10) as connection:
        connection.sendall((head + body).encode())
        client.wait_for(0, state="computing")
    worker.resume()
    assert client.wait_for(0, state="done")["share"] == 1.0
    eventually(lambda: list((server.workspace / "incoming").iterdir()) == [])


# === Cancelling ===


def test_cancelling_ends_a_computation_at_once_and_reloads_the_network(client: Client, worker: psutil.Process) -> None:
    server, answer = client.server, client.server.workspace / "answers" / CASE
    before = {path.name: path.stat().st_mtime_ns for path in answer.iterdir()}
    computing = client.submit(0)
    with client.within_a_second():
        assert client.cancel(0)["state"] == "cancelled"
        found = refused(computing.result(10), 499)
    assert (found["field"], "cancelled" in found["message"]) == ("job", True)
    assert client.wait_for(0, state="cancelled")["position"] == 0
    assert is_gone(worker)
    assert list((server.workspace / "incoming").iterdir()) == []
    assert {path.name: path.stat().st_mtime_ns for path in answer.iterdir()} == before
    process = eventually(lambda: server.worker() not in (None, worker) and server.worker())
    accepted(server.infer(image=CASE))
    assert server.worker() == process


@pytest.mark.usefixtures("worker")
def test_a_waiting_job_is_computed_although_others_are_cancelled_again_and_again(client: Client) -> None:
    futures = [client.submit(job) for job in range(4)]
    client.cancel(0)
    client.wait_for(1, state="computing")
    client.wait_for(2, state="waiting", position=1)
    client.cancel(1)
    client.cancel(3)
    accepted(futures.pop(2).result(120))
    assert [future.result(10).status_code for future in futures] == [499] * 3


def test_many_waiting_jobs_delay_no_reply_and_are_cancelled_alone(client: Client, worker: psutil.Process) -> None:
    computing, *waiting = (client.submit(job) for job in range(6))
    for path in ("/info/", "/cases", "/versions", "/datastore/", f"/jobs/{client.id(0)}"):
        started = time.monotonic()
        client.server.get(path)
        assert time.monotonic() - started < 2.0
    for job in range(5, 0, -1):
        with client.within_a_second():
            assert client.cancel(job)["state"] == "cancelled"
            assert refused(waiting[job - 1].result(10), 499)["field"] == "job"
    assert not computing.done()
    worker.resume()
    accepted(computing.result(60))
    assert client.server.worker() == worker


def test_a_failed_job_and_one_that_was_cancelled_before_it_arrived_say_so(client: Client) -> None:
    assert refused(client.infer(0, reference="t3"))["field"] == "reference"
    assert client.state(0)["state"] == client.cancel(0)["state"] == "failed"
    assert refused(client.server.request("DELETE", f"/jobs/{client.id(1)}"), 404)["field"] == "job"
    assert refused(client.infer(1), 499)["field"] == "job"
    assert client.state(1)["state"] == "cancelled"


# === How long jobs are remembered ===


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """A registry of two jobs at most, of a worker that is never started."""
    monkeypatch.setattr(jobs, "KEEP", 2)
    monkeypatch.setattr(jobs, "EARLY", 2)
    return Jobs(InferenceWorker(tmp_path, tmp_path))


NAMES = ("aaaaaaaa", "bbbbbbbb", "cccccccc")


def end(registry: Jobs, *names: str) -> None:
    for name in names:
        with registry.tracked(name):
            pass


def known(registry: Jobs, *names: str) -> list[str]:
    found = []
    for name in names:
        with contextlib.suppress(HTTPException):
            found.append(registry.describe(name)["id"])
    return found


def test_the_last_jobs_and_those_under_way_are_remembered(registry: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    with registry.tracked("underway0"):
        end(registry, *NAMES)
        assert known(registry, "underway0", *NAMES) == ["underway0", *NAMES[1:]]
        monkeypatch.setattr(jobs, "KEEP_SECONDS", 0.0)
        end(registry, "dddddddd")
        assert known(registry, "underway0", *NAMES, "dddddddd") == ["underway0", "dddddddd"]


def test_cancellations_of_unknown_jobs_do_not_pile_up(registry: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        with pytest.raises(HTTPException, match="404"):
            registry.cancel(name)
    assert sorted(registry._early) == ["aaaaaaaa", "bbbbbbbb"]
    monkeypatch.setattr(jobs, "EARLY_SECONDS", 0.0)
    with registry.tracked("aaaaaaaa") as ticket:
        assert not ticket.cancelled
