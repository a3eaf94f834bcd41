"""Inferences that are watched and cancelled, on a real server whose network takes its time."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nibabel
import pytest
import requests

from tests import synthetic
from tests.server_app.conftest import Server, eventually, is_gone, load, serving, untrained_model

CASE = "BraTS20_Training_001"
LARGE = "BraTS20_Training_002"


@pytest.fixture(scope="module")
def patient_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wide network, which needs a second or more for :data:`LARGE`."""
    return untrained_model(tmp_path_factory.mktemp("patient") / "model", base_filters=48, max_filters=48, levels=2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, patient_model: Path) -> Iterator[Server]:
    """A server over a small head, and one of twice its size in each direction."""
    folder = tmp_path_factory.mktemp("jobs")
    for name in (CASE, LARGE):
        synthetic.write_case(folder / "studies", name)
    for path in (folder / "studies" / LARGE).glob("*.nii.gz"):
        image = load(path)
        affine = image.affine.copy()
        affine[:3] *= 2
        nibabel.save(nibabel.Nifti1Image(image.dataobj[...], affine), path)
    with serving(folder / "studies", folder / "workspace", patient_model) as running:
        yield running


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def job_id(request: pytest.FixtureRequest) -> str:
    """An id that no other test uses."""
    return f"job{abs(hash(request.node.name)):x}"


def infer(server: Server, job: Any = None, case: str = LARGE, **params: Any) -> requests.Response:
    data = {"params": json.dumps({"job": job, **params} if job is not None else params)}
    return server.request("POST", "/infer/tumorloop", params={"image": case, "output": "json"}, data=data)


def detail(answer: requests.Response, status: int) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    return dict(answer.json()["detail"])


def state(server: Server, job: str) -> dict[str, Any]:
    """What the server says of a job; empty before it has come."""
    answer = server.request("GET", f"/jobs/{job}")
    assert answer.status_code in (200, 404), answer.text
    return dict(answer.json()) if answer.status_code == 200 else {}


def when(server: Server, job: str, **facts: Any) -> dict[str, Any]:
    """Wait until a job is as described."""
    return dict(eventually(lambda: facts.items() <= state(server, job).items() and state(server, job), seconds=60))


def begun(server: Server, clients: ThreadPoolExecutor, job: str, case: str = LARGE) -> Future[requests.Response]:
    """Start an inference that the network is computing when this returns."""
    future = clients.submit(infer, server, job, case)
    when(server, job, state="computing", stage="computing")
    return future


def queued(server: Server, clients: ThreadPoolExecutor, job: str, position: int) -> Future[requests.Response]:
    """Start an inference that has to wait."""
    future = clients.submit(infer, server, job, CASE)
    when(server, job, state="waiting", position=position)
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
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


# === Watching ===


def test_an_inference_is_watched_from_the_queue_to_its_end(
    server: Server, clients: ThreadPoolExecutor, job_id: str
) -> None:
    first = begun(server, clients, f"{job_id}0")
    waiting = queued(server, clients, job_id, position=1)
    expected = {"id": job_id, "state": "waiting", "position": 1, "share": 0.0, "stage": "waiting"}
    assert state(server, job_id) == expected
    seen = []
    while not waiting.done():
        seen.append(state(server, f"{job_id}0"))
        time.sleep(0.02)
    computing = [found for found in seen if found["state"] == "computing"]
    assert {"computing"} <= {found["stage"] for found in computing}
    shares = [found["share"] for found in computing]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 1
    done = {"id": job_id, "state": "done", "position": 0, "share": 1.0, "stage": "done"}
    assert first.result().status_code == waiting.result().status_code == 200
    assert when(server, job_id, state="done") == done


def test_a_job_that_fails_says_so(server: Server, job_id: str) -> None:
    assert detail(infer(server, job_id, reference="t3"), 422)["field"] == "reference"
    assert state(server, job_id)["state"] == "failed"
    assert cancel(server, job_id)["state"] == "failed"


def test_an_id_in_use_is_refused_also_when_its_job_has_ended(
    server: Server, clients: ThreadPoolExecutor, job_id: str
) -> None:
    first = begun(server, clients, job_id)
    assert detail(infer(server, job_id), 409)["field"] == "job"
    assert first.result().status_code == 200
    assert detail(infer(server, job_id), 409)["field"] == "job"
    assert state(server, job_id)["state"] == "done"


@pytest.mark.parametrize("job", ["short", "UPPERCASE", "a" * 65, "../../etc/passwd", "with space", "", 12345678, ["a"]])
def test_an_id_that_is_none_is_refused(server: Server, job: Any) -> None:
    assert detail(infer(server, job), 422)["field"] == "job"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("job", "status"),
    [("0123456789abcdef", 404), ("short", 422), ("UPPERCASE", 422), ("a" * 65, 422), ("a.b.c.d.e", 422)],
)
def test_a_job_that_nobody_knows_is_not_found_and_an_id_that_is_none_is_named(
    server: Server, method: str, job: str, status: int
) -> None:
    assert detail(server.request(method, f"/jobs/{job}"), status)["field"] == "job"


def test_what_a_client_calls_a_ticket_does_not_reach_the_worker(server: Server) -> None:
    assert infer(server, case=CASE, ticket={"cancelled": True}, answer="/tmp/x").status_code == 200


# === Cancelling ===


def test_a_computing_inference_is_cancelled_within_a_second_and_leaves_nothing(
    server: Server, clients: ThreadPoolExecutor, job_id: str
) -> None:
    assert infer(server, case=LARGE).status_code == 200
    answer = server.workspace / "answers" / LARGE
    before = {path.name: path.stat().st_mtime_ns for path in answer.iterdir()}
    computing = begun(server, clients, job_id)
    process = server.worker()
    assert process is not None
    limit, started = a_second(server), time.monotonic()
    assert cancel(server, job_id)["state"] == "cancelled"
    found = detail(computing.result(10), 499)
    assert time.monotonic() - started < limit
    assert (found["field"], "cancelled" in found["message"]) == ("job", True)
    assert when(server, job_id, state="cancelled")["position"] == 0
    assert is_gone(process)
    assert list((server.workspace / "incoming").iterdir()) == []
    assert {path.name: path.stat().st_mtime_ns for path in answer.iterdir()} == before


def test_those_that_wait_are_computed_although_others_are_cancelled_again_and_again(
    server: Server, clients: ThreadPoolExecutor, job_id: str
) -> None:
    doomed = [f"{job_id}{number}" for number in range(3)]
    futures = [begun(server, clients, doomed[0])]
    futures += [clients.submit(infer, server, job, LARGE) for job in doomed[1:2]]
    when(server, doomed[1], position=1)
    survivor = queued(server, clients, job_id, position=2)
    futures += [clients.submit(infer, server, doomed[2], LARGE)]
    when(server, doomed[2], position=3)
    cancel(server, doomed[0])
    when(server, doomed[1], state="computing", stage="computing")
    when(server, job_id, state="waiting", position=1)
    cancel(server, doomed[1])
    cancel(server, doomed[2])
    assert survivor.result(120).status_code == 200
    assert [future.result(10).status_code for future in futures] == [499] * 3


def test_cancelling_one_that_waits_leaves_the_computing_one_alone(
    server: Server, clients: ThreadPoolExecutor, job_id: str
) -> None:
    computing = begun(server, clients, f"{job_id}0")
    process = server.worker()
    waiting = queued(server, clients, job_id, position=1)
    limit, started = a_second(server), time.monotonic()
    assert cancel(server, job_id)["state"] == "cancelled"
    assert detail(waiting.result(10), 499)["field"] == "job"
    assert time.monotonic() - started < limit
    assert computing.result(60).status_code == 200
    assert server.worker() == process


def test_after_a_cancellation_the_network_is_loaded_again_unasked(
    server: Server, clients: ThreadPoolExecutor, job_id: str
) -> None:
    computing = begun(server, clients, job_id)
    killed = server.worker()
    cancel(server, job_id)
    computing.result(10)
    process = eventually(lambda: server.worker() not in (None, killed) and server.worker())
    assert infer(server, case=CASE).status_code == 200
    assert server.worker() == process


def test_a_cancellation_that_overtakes_its_job_still_holds(server: Server, job_id: str) -> None:
    assert detail(server.request("DELETE", f"/jobs/{job_id}"), 404)["field"] == "job"
    assert detail(infer(server, job_id), 499)["field"] == "job"
    assert state(server, job_id)["state"] == "cancelled"


def test_a_job_that_is_done_stays_done(server: Server, job_id: str) -> None:
    assert infer(server, job_id, CASE).status_code == 200
    process = server.worker()
    assert cancel(server, job_id)["state"] == "done"
    assert server.worker() == process


def test_a_client_that_hangs_up_does_not_cancel(server: Server, job_id: str) -> None:
    address = urlsplit(server.url)
    body = f'--x\r\nContent-Disposition: form-data; name="params"\r\n\r\n{{"job": "{job_id}"}}\r\n--x--\r\n'
    head = (
        f"POST /infer/tumorloop?image={LARGE} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 10) as connection:
        connection.sendall((head + body).encode())
        when(server, job_id, state="computing")
    assert when(server, job_id, state="done")["share"] == 1.0
    eventually(lambda: list((server.workspace / "incoming").iterdir()) == [])


def test_the_server_answers_while_many_wait(server: Server, clients: ThreadPoolExecutor, job_id: str) -> None:
    names = [f"{job_id}{number}" for number in range(6)]
    futures = [begun(server, clients, names[0])]
    futures += [clients.submit(infer, server, name, LARGE) for name in names[1:]]
    when(server, names[-1], state="waiting")
    for path in ("/info/", "/cases", "/versions", f"/jobs/{names[0]}"):
        started = time.monotonic()
        assert server.request("GET", path).status_code == 200
        assert time.monotonic() - started < 2.0
    for name in reversed(names):
        cancel(server, name)
    assert [future.result(10).status_code for future in futures] == [499] * 6
