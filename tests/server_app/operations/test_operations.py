"""A real server as its operators see it: health, counters, logs, and an orderly shutdown."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from typer.testing import CliRunner

from server_app.__main__ import commands
from server_app.operations.probe import probe
from tests import synthetic
from tests.server_app.conftest import Server, eventually, serving

CASE = "BraTS20_Training_001"
COMPUTED, REUSED = (f'tumorloop_inferences_total{{outcome="{outcome}"}}' for outcome in ("computed", "reused"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """A server that reuses results and logs as JSON; the last test shuts it down."""
    folder = tmp_path_factory.mktemp("operations")
    synthetic.write_case(folder / "studies", CASE)
    options = ("--log-format", "json")
    with serving(folder / "studies", folder / "workspace", tiny_model, *options, reuse_results="true") as running:
        yield running


def listens(port: int) -> bool:
    with socket.socket() as probe_socket:
        return probe_socket.connect_ex(("127.0.0.1", port)) == 0


def infer(server: Server, **params: Any) -> dict[str, Any]:
    """Segment the case; return the JSON part of the reply."""
    answer = server.infer(params, "all", image=CASE)
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


def test_a_healthy_server_says_so_and_counts_requests_by_route(server: Server) -> None:
    assert server.get("/healthz") == {"status": "ok", "problems": {}}
    assert metric(server, 'tumorloop_requests_total{method="GET",route="/healthz",status="200"}') >= 1
    assert metric(server, "process_resident_memory_bytes") > 1e7
    assert metric(server, "tumorloop_disk_free_bytes") > 0
    assert metric(server, "tumorloop_training_running") == 0
    assert probe(f"{server.url}/healthz") == ""
    assert "does not answer" in probe("http://127.0.0.1:1/healthz")
    assert "Only a server on this machine" in probe("http://203.0.113.7/healthz")


def test_a_repeated_request_gets_the_first_result_which_corrections_are_still_compared_with(server: Server) -> None:
    computed, reused = metric(server, COMPUTED), metric(server, REUSED)
    first = infer(server)
    kept = server.workspace / "answers" / CASE / "answer.nii.gz"
    kept.unlink()
    again = infer(server)
    assert "reused" not in first
    assert (again["reused"], again["model_version"], kept.is_file()) == (True, first["model_version"], True)
    assert (metric(server, COMPUTED), metric(server, REUSED)) == (computed + 1, reused + 1)
    assert "reused" not in infer(server, reference="flair")
    with ThreadPoolExecutor(4) as threads:  # of equal requests at the same time one is computed
        answers = list(threads.map(lambda _: infer(server, reference="t2"), range(4)))
    assert sum("reused" in answer for answer in answers) == 3
    assert metric(server, COMPUTED) == computed + 3


def test_a_killed_worker_is_reported_and_the_next_request_works(server: Server) -> None:
    process = eventually(server.worker)
    deaths = inference_state(server)["deaths"]
    process.kill()
    dead = eventually(lambda: inference_state(server)["deaths"] > deaths and inference_state(server))
    assert (dead["state"], "was killed" in dead["last_death"]["message"]) == ("idle", True)
    assert infer(server, reference="t1")["reference"] == "t1"
    state = inference_state(server)
    assert (state["state"], state["deaths"]) == ("ready", deaths + 1)
    assert metric(server, "tumorloop_worker_deaths_total") == deaths + 1


def test_the_log_names_routes_and_request_ids_and_never_a_case(server: Server) -> None:
    sought = server.request("GET", f"/cases/{CASE}/labels").headers["X-Request-ID"]
    # a request is logged after its answer was sent
    (line,) = eventually(
        lambda: [line for line in log_lines(server) if line.get("request_id") == sought and "route" in line]
    )
    assert (line["route"], line["status"]) == ("/cases/{case_id}/labels", 200)
    assert not [line for line in log_lines(server) if line.get("route") and CASE in json.dumps(line)]


def test_a_server_refuses_a_second_one_on_its_workspace_and_finishes_what_it_receives_when_asked_to_end(
    server: Server,
) -> None:
    refused = CliRunner().invoke(commands, ["--studies", str(server.studies), "--workspace", str(server.workspace)])
    assert refused.exit_code == 2
    assert "Another TumorLoop server" in refused.stderr
    content, address = (server.studies / CASE / f"{CASE}_seg.nii.gz").read_bytes(), urlsplit(server.url)
    part = b'--x\r\nContent-Disposition: form-data; name="label"; filename="label.nii.gz"\r\n\r\n'
    body = part + content + b"\r\n--x--\r\n"
    head = (
        f"PUT /datastore/label?image={CASE} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nConnection: close\r\n\r\n"
    ).encode()
    before = metric(server, "tumorloop_requests_under_way")
    with socket.create_connection((str(address.hostname), address.port or 0), 30) as connection:
        connection.settimeout(60)
        connection.sendall(head + body[: len(body) // 2])
        eventually(lambda: metric(server, "tumorloop_requests_under_way") > before)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: not listens(address.port or 0))
        assert server.process.poll() is None
        connection.sendall(body[len(body) // 2 :])
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
    assert b'"version":"v0001"' in answer
    server.process.wait(40)
    assert (server.workspace / "labels" / CASE / "v0001").is_dir()
    assert json.loads((server.workspace / "running.json").read_text())["ended"]
    with pytest.raises(requests.ConnectionError):
        server.get("/healthz")
