"""The layers around every request: an id, a log line that gives nothing away, and numbers."""

from __future__ import annotations

import json
import logging
import logging.config
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from training.spans import span


@pytest.fixture
def client() -> TestClient:
    inner = FastAPI()

    @inner.get("/cases/{case_id}")
    def read(case_id: str) -> dict[str, Any]:
        logging.getLogger("some.module").warning("inside a route")
        return {"id": current()}

    @inner.get("/timed")
    def read_volumes() -> dict[str, Any]:  # in a thread, as most routes
        with span("read"):
            return {}

    @inner.get("/broken")
    def fail() -> None:
        raise RuntimeError("secret of the inside")

    return TestClient(request_ids(RequestLog(inner)), raise_server_exceptions=False)


def test_every_answer_has_an_id_of_its_own_or_a_proper_one_of_a_proxy_that_the_route_knows_too(
    client: TestClient,
) -> None:
    first, second = client.get("/cases/a"), client.get("/cases/a")
    assert first.headers["X-Request-ID"] == first.json()["id"] != second.headers["X-Request-ID"]
    assert current() is None
    for sent in ("proxy-0001", "short", "a" * 65, "with space!", '{"json": 1}', "../../../etc/passwd"):
        answer = client.get("/cases/a", headers={"X-Request-ID": sent})
        assert (answer.headers["X-Request-ID"] == sent) is (sent == "proxy-0001")


def test_an_answer_tells_how_long_its_stages_took_if_it_had_any(client: TestClient) -> None:
    timing = client.get("/timed").headers["Server-Timing"]
    assert re.fullmatch(r"read;dur=\d+, total;dur=\d+", timing)
    assert "Server-Timing" not in client.get("/cases/a").headers


def test_requests_are_counted_by_route_and_not_by_address_invented_method_or_unknown_value(client: TestClient) -> None:
    def count(route: str, status: str) -> float:
        labels = {"route": route, "method": "GET", "status": status}
        return REGISTRY.get_sample_value("tumorloop_requests_total", labels) or 0.0

    routes = (("/cases/{case_id}", "200"), ("none", "404"), ("/broken", "500"))
    before = [count(*route) for route in routes]
    for path in ("/cases/one", "/cases/two", "/no/such/address", "/broken"):
        client.get(path)
    assert [count(*route) - earlier for route, earlier in zip(routes, before, strict=True)] == [2, 1, 1]
    client.request("BREW", "/cases/one")
    methods = {sample.labels.get("method") for metric in REGISTRY.collect() for sample in metric.samples}
    assert ("other" in methods, "BREW" in methods) == (True, False)
    (found,) = StateCollector(lambda: {"inference_queue": 3}).collect()
    assert (found.name, found.samples[0].value) == ("tumorloop_inference_queue", 3)
    assert not [name for name in DEFAULT._names_to_collectors if name.startswith("tumorloop")]


@contextmanager
def logging_to(folder: Path, form: LogFormat) -> Iterator[Callable[[], list[str]]]:
    """Set up logging as the server does; yields a function that reads what was written."""
    root, level = list(logging.root.handlers), logging.root.level
    logging.config.dictConfig(log_config(folder, "INFO", form))
    try:
        yield lambda: (folder / "logs" / "app.log").read_text().splitlines()
    finally:
        for handler in logging.root.handlers:
            handler.close()
        logging.root.handlers[:] = root
        logging.root.setLevel(level)


def test_log_lines_have_route_status_time_and_id_and_no_address(tmp_path: Path, client: TestClient) -> None:
    with logging_to(tmp_path / "json", LogFormat.json) as read:
        answer = client.get("/cases/Mustermann?token=xyzzy", headers={"Authorization": "Bearer xyzzy-secret"})
        client.get("/broken")
        lines = [line for line in map(json.loads, read()) if line["logger"] != "httpx"]  # the test's own client
    line, failed = [line for line in lines if line["logger"] == "tumorloop.requests"]
    assert (line["route"], line["method"], line["status"]) == ("/cases/{case_id}", "GET", 200)
    assert (line["level"], failed["level"], failed["status"]) == ("INFO", "ERROR", 500)
    assert line["milliseconds"] >= 0
    inside = next(line for line in lines if line["logger"] == "some.module")
    assert line["request_id"] == inside["request_id"] == answer.headers["X-Request-ID"]
    assert "Mustermann" not in json.dumps(line)
    assert "xyzzy" not in json.dumps(lines)  # no letters of a hash
    with logging_to(tmp_path / "text", LogFormat.text) as read:
        answer = client.get("/cases/Mustermann")
        (text,) = [line for line in read() if "tumorloop.requests" in line]
    assert all(part in text for part in (answer.headers["X-Request-ID"], "GET /cases/{case_id} 200"))
    assert "Mustermann" not in text
