"""The layers around every request: an id, a log line that gives nothing away, and numbers."""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY as DEFAULT
from starlette.types import ASGIApp

from server_app.common.metrics import REGISTRY, StateCollector
from server_app.common.request_id import current, request_ids
from server_app.operations.logs import LogFormat, log_config
from server_app.operations.requests import RequestLog


def served() -> ASGIApp:
    """A small app inside the layers."""
    inner = FastAPI()

    @inner.get("/cases/{case_id}")
    def read(case_id: str) -> dict[str, Any]:
        logging.getLogger("some.module").warning("inside a route")
        return {"id": current()}

    @inner.get("/broken")
    def fail() -> None:
        raise RuntimeError("secret of the inside")

    return request_ids(RequestLog(inner))


@pytest.fixture
def client() -> TestClient:
    return TestClient(served(), raise_server_exceptions=False)


def count(route: str, status: str, method: str = "GET") -> float:
    labels = {"route": route, "method": method, "status": status}
    return REGISTRY.get_sample_value("tumorloop_requests_total", labels) or 0.0


# === Ids ===


def test_every_answer_has_an_id_of_its_own_that_the_route_knows_too(client: TestClient) -> None:
    first, second = client.get("/cases/a"), client.get("/cases/a")
    assert first.headers["X-Request-ID"] == first.json()["id"]
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]
    assert current() is None


def test_an_id_that_a_proxy_sends_along_is_kept(client: TestClient) -> None:
    assert client.get("/cases/a", headers={"X-Request-ID": "proxy-0001"}).headers["X-Request-ID"] == "proxy-0001"


@pytest.mark.parametrize("sent", ["short", "a" * 65, "with space!", '{"json": 1}', "../../../etc/passwd"])
def test_what_is_no_id_never_gets_into_a_log(client: TestClient, sent: str) -> None:
    assert client.get("/cases/a", headers={"X-Request-ID": sent}).headers["X-Request-ID"] != sent


# === Numbers ===


def test_requests_are_counted_by_route_and_not_by_address(client: TestClient) -> None:
    before, unknown = count("/cases/{case_id}", "200"), count("none", "404")
    client.get("/cases/one")
    client.get("/cases/two")
    client.get("/no/such/address")
    assert count("/cases/{case_id}", "200") == before + 2
    assert count("none", "404") == unknown + 1


def test_an_error_inside_counts_as_500(client: TestClient) -> None:
    before = count("/broken", "500")
    assert client.get("/broken").status_code == 500
    assert count("/broken", "500") == before + 1


def test_made_up_methods_do_not_make_new_numbers(client: TestClient) -> None:
    client.request("BREW", "/cases/one")
    methods = {sample.labels.get("method") for metric in REGISTRY.collect() for sample in metric.samples}
    assert "other" in methods
    assert "BREW" not in methods


def test_what_is_not_known_is_left_out_of_the_gauges() -> None:
    found = {
        metric.name: metric.samples[0].value for metric in StateCollector(lambda: {"inference_queue": 3}).collect()
    }
    assert found == {"tumorloop_inference_queue": 3}


def test_prometheus_own_registry_is_left_alone() -> None:
    assert not [name for name in DEFAULT._names_to_collectors if name.startswith("tumorloop")]


# === Log lines ===


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Any]:
    """Arrange the loggers as the server does; returns a function that reads what was written."""
    root, level = list(logging.root.handlers), logging.root.level

    def arrange(form: LogFormat) -> Any:
        logging.config.dictConfig(log_config(tmp_path, "INFO", form))
        return lambda: (tmp_path / "logs" / "app.log").read_text().splitlines()

    yield arrange
    for handler in logging.root.handlers:
        handler.close()
    logging.root.handlers[:] = root
    logging.root.setLevel(level)


def test_a_json_line_tells_route_status_time_and_id_and_no_address(logged: Any, client: TestClient) -> None:
    read = logged(LogFormat.json)
    answer = client.get("/cases/Mustermann?token=abc", headers={"Authorization": "Bearer abc-secret"})
    lines = [line for line in map(json.loads, read()) if line["logger"] != "httpx"]  # the test's own client
    (line,) = [line for line in lines if line["logger"] == "tumorloop.requests"]
    assert (line["route"], line["method"], line["status"]) == ("/cases/{case_id}", "GET", 200)
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert line["milliseconds"] >= 0
    assert line["level"] == "INFO"
    inside = next(line for line in lines if line["logger"] == "some.module")
    assert inside["request_id"] == answer.headers["X-Request-ID"]
    assert "Mustermann" not in json.dumps(line)
    assert "abc" not in json.dumps(lines)


def test_a_line_for_people_holds_the_id_too(logged: Any, client: TestClient) -> None:
    read = logged(LogFormat.text)
    answer = client.get("/cases/Mustermann")
    (line,) = [line for line in read() if "tumorloop.requests" in line]
    assert answer.headers["X-Request-ID"] in line
    assert "GET /cases/{case_id} 200" in line
    assert "Mustermann" not in line


def test_a_failure_is_logged_as_an_error(logged: Any, client: TestClient) -> None:
    read = logged(LogFormat.json)
    client.get("/broken")
    (line,) = [line for line in map(json.loads, read()) if line["logger"] == "tumorloop.requests"]
    assert (line["level"], line["status"]) == ("ERROR", 500)
