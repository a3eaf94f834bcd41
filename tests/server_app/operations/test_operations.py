"""A real server as those see it who run it: well or ill, counted, logged, and shut down in order."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from server_app.operations.probe import probe
from tests import synthetic
from tests.server_app.conftest import Server, eventually, serving

CASE = "BraTS20_Training_001"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """A server that reuses results and logs as JSON; the last test shuts it down."""
    folder = tmp_path_factory.mktemp("operations")
    synthetic.write_case(folder / "studies", CASE)
    options = ("--log-format", "json")
    with serving(folder / "studies", folder / "workspace", tiny_model, *options, reuse_results="true") as running:
        yield running


def infer(server: Server, **params: Any) -> requests.Response:
    where = {"image": CASE, "output": "all"}
    return server.request("POST", "/infer/tumorloop", params=where, data={"params": json.dumps(params)})


def facts(answer: requests.Response) -> dict[str, Any]:
    """The JSON part of an inference's reply."""
    assert answer.status_code == 200, answer.text
    part = answer.content.split(b'name="params"')[1].split(b"\r\n\r\n", 1)[1].split(b"\r\n--", 1)[0]
    return dict(json.loads(part))


def metric(server: Server, name: str) -> float:
    for line in server.request("GET", "/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.rpartition(" ")[2])
    return 0.0


def inference_state(server: Server) -> dict[str, Any]:
    return dict(server.get("/info/")["server"]["inference"])


def log_lines(server: Server) -> list[dict[str, Any]]:
    log = server.workspace / "app" / "logs" / "app.log"
    whole = (line for line in log.read_text().splitlines(keepends=True) if line.startswith("{") and line.endswith("\n"))
    return [json.loads(line) for line in whole]


def test_a_server_that_is_well_says_so_to_everybody(server: Server) -> None:
    assert server.get("/healthz") == {"status": "ok", "problems": {}}
    assert probe(f"{server.url}/healthz") == ""
    assert "does not answer" in probe("http://127.0.0.1:1/healthz")
    assert "Only a server on this machine" in probe("http://203.0.113.7/healthz")


def test_the_same_question_is_answered_with_the_first_ones_result(server: Server) -> None:
    computed = metric(server, 'tumorloop_inferences_total{outcome="computed"}')
    first = infer(server)
    again = infer(server)
    assert "reused" not in facts(first)
    assert facts(again)["reused"] is True
    assert facts(again)["model_version"] == facts(first)["model_version"]
    assert metric(server, 'tumorloop_inferences_total{outcome="computed"}') == computed + 1
    assert metric(server, 'tumorloop_inferences_total{outcome="reused"}') >= 1
    assert "reused" not in facts(infer(server, reference="flair"))


def test_of_two_that_ask_the_same_at_the_same_time_one_is_computed(server: Server) -> None:
    before = metric(server, 'tumorloop_inferences_total{outcome="computed"}')
    answers: list[requests.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(infer(server, reference="t2"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 4
    assert sum("reused" in facts(answer) for answer in answers) == 3
    assert metric(server, 'tumorloop_inferences_total{outcome="computed"}') == before + 1


def test_what_was_reused_is_still_what_a_correction_is_compared_with(server: Server) -> None:
    answer = server.workspace / "answers" / CASE / "answer.nii.gz"
    facts(infer(server))
    answer.unlink()
    assert facts(infer(server))["reused"] is True
    assert answer.is_file()


def test_a_worker_that_was_killed_is_told_of_and_the_next_request_works(server: Server) -> None:
    process = eventually(server.worker)
    deaths = inference_state(server)["deaths"]
    process.kill()
    state = eventually(lambda: inference_state(server)["deaths"] > deaths and inference_state(server))
    assert state["state"] == "idle"
    assert "was killed" in state["last_death"]["message"]
    assert facts(infer(server, reference="t1"))["reference"] == "t1"
    assert inference_state(server)["state"] == "ready"
    assert inference_state(server)["deaths"] == deaths + 1
    assert metric(server, "tumorloop_worker_deaths_total") == deaths + 1


def test_requests_are_counted_by_route_and_the_process_is_measured(server: Server) -> None:
    server.get("/versions")
    assert metric(server, 'tumorloop_requests_total{method="GET",route="/versions",status="200"}') >= 1
    assert metric(server, "process_resident_memory_bytes") > 1e7
    assert metric(server, "tumorloop_disk_free_bytes") > 0
    assert metric(server, "tumorloop_training_running") == 0


def test_the_log_names_routes_and_request_ids_and_never_a_case(server: Server) -> None:
    answer = server.request("GET", f"/cases/{CASE}/labels")
    sought = answer.headers["X-Request-ID"]
    # a request is written down after its answer was sent
    (line,) = eventually(
        lambda: [line for line in log_lines(server) if line.get("request_id") == sought and "route" in line]
    )
    assert (line["route"], line["status"]) == ("/cases/{case_id}/labels", 200)
    assert not [line for line in log_lines(server) if line.get("route") and CASE in json.dumps(line)]


def test_a_second_server_on_the_workspace_is_refused_in_a_sentence(server: Server, tiny_model: Path) -> None:
    with (
        pytest.raises(AssertionError, match="Another TumorLoop server"),
        serving(server.studies, server.workspace, tiny_model),
    ):
        pass


def test_asked_to_end_it_finishes_what_it_is_being_sent(server: Server) -> None:
    path = server.studies / CASE / f"{CASE}_seg.nii.gz"
    content, address = path.read_bytes(), urlsplit(server.url)
    body = (
        b'--x\r\nContent-Disposition: form-data; name="label"; filename="label.nii.gz"\r\n\r\n'
        + content
        + b"\r\n--x--\r\n"
    )
    head = (
        f"PUT /datastore/label?image={CASE} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nConnection: close\r\n\r\n"
    ).encode()
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 30) as connection:
        connection.settimeout(60)
        connection.sendall(head + body[: len(body) // 2])
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(1.0)
        assert server.process.poll() is None
        connection.sendall(body[len(body) // 2 :])
        answer = b""
        while block := connection.recv(65536):
            answer += block
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    assert b'"version":"v0001"' in answer
    server.process.wait(40)
    assert (server.workspace / "labels" / CASE / "v0001").is_dir()
    assert json.loads((server.workspace / "running.json").read_text())["ended"]
    with pytest.raises(requests.ConnectionError):
        server.get("/healthz")
