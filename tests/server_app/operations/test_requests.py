"""The layers around every request: an id, a log line that gives nothing away, and numbers."""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY as DEFAULT

from server_app.common.metrics import REGISTRY, StateCollector
from server_app.common.request_id import current, request_ids
from server_app.operations.logs import LogFormat, log_config
from server_app.operations.requests import RequestLog

Arrange = Callable[[LogFormat], Callable[[], list[str]]]


@pytest.fixture
def client() -> TestClient:
    """A small app inside the layers."""
    inner = FastAPI()

    @inner.get("/cases/{case_id}")
    def read(case_id: str) -> dict[str, Any]:
        logging.getLogger("some.module").warning("inside a route")
        return {"id": current()}

    @inner.get("/broken")
    def fail() -> None:
        raise RuntimeError("secret of the inside")

    return TestClient(request_ids(RequestLog(inner)), raise_server_exceptions=False)


def test_every_answer_has_an_id_of_its_own_that_the_route_knows_too(client: TestClient) -> None:
    first, second = client.get("/cases/a"), client.get("/cases/a")
    assert first.headers["X-Request-ID"] == first.json()["id"]
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]
    assert current() is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("proxy-0001", True), ("short", False), ("a" * 65, False), ("with space!", False), ('{"json": 1}', False),
     ("../../../etc/passwd", False)],
)  # fmt: skip
def test_only_a_proper_id_of_a_proxy_is_kept(client: TestClient, sent: str, kept: bool) -> None:
    assert (client.get("/cases/a", headers={"X-Request-ID": sent}).headers["X-Request-ID"] == sent) is kept


# === Numbers ===


def count(route: str, status: str) -> float:
    labels = {"route": route, "method": "GET", "status": status}
    return REGISTRY.get_sample_value("tumorloop_requests_total", labels) or 0.0


def test_requests_are_counted_by_route_and_not_by_address(client: TestClient) -> None:
    routes = (("/cases/{case_id}", "200"), ("none", "404"), ("/broken", "500"))
    before = [count(*route) for route in routes]
    for path in ("/cases/one", "/cases/two", "/no/such/address", "/broken"):
        client.get(path)
    assert [count(*route) - earlier for route, earlier in zip(routes, before, strict=True)] == [2, 1, 1]


def test_neither_invented_methods_nor_unknown_values_make_numbers(client: TestClient) -> None:
    client.request("BREW", "/cases/one")
    methods = {sample.labels.get("method") for metric in REGISTRY.collect() for sample in metric.samples}
    assert "other" in methods
    assert "BREW" not in methods
    (found,) = StateCollector(lambda: {"inference_queue": 3}).collect()
    assert (found.name, found.samples[0].value) == ("tumorloop_inference_queue", 3)
    assert not [name for name in DEFAULT._names_to_collectors if name.startswith("tumorloop")]


# === Log lines ===


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Arrange]:
    """Set up logging as the server does; returns a function that reads what was written."""
    root, level = list(logging.root.handlers), logging.root.level

    def arrange(form: LogFormat) -> Callable[[], list[str]]:
        logging.config.dictConfig(log_config(tmp_path, "INFO", form))
        return lambda: (tmp_path / "logs" / "app.log").read_text().splitlines()

    yield arrange
    for handler in logging.root.handlers:
        handler.close()
    logging.root.handlers[:] = root
    logging.root.setLevel(level)


def test_a_json_line_has_route_status_time_and_id_and_no_address(logged: Arrange, client: TestClient) -> None:
    read = logged(LogFormat.json)
    answer = client.get("/cases/Mustermann?token=abc", headers={"Authorization": "Bearer abc-secret"})
    client.get("/broken")
    lines = [line for line in map(json.loads, read()) if line["logger"] != "httpx"]  # the test's own client
    line, failed = [line for line in lines if line["logger"] == "tumorloop.requests"]
    assert (line["route"], line["method"], line["status"]) == ("/cases/{case_id}", "GET", 200)
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert line["milliseconds"] >= 0
    assert (line["level"], failed["level"], failed["status"]) == ("INFO", "ERROR", 500)
    inside = next(line for line in lines if line["logger"] == "some.module")
    assert inside["request_id"] == answer.headers["X-Request-ID"]
    assert "Mustermann" not in json.dumps(line)
    assert "abc" not in json.dumps(lines)


def test_a_line_for_people_has_the_id_too(logged: Arrange, client: TestClient) -> None:
    read = logged(LogFormat.text)
    answer = client.get("/cases/Mustermann")
    (line,) = [line for line in read() if "tumorloop.requests" in line]
    assert answer.headers["X-Request-ID"] in line
    assert "GET /cases/{case_id} 200" in line
    assert "Mustermann" not in line
