"""Requests that are too large, too slow, too many or broken off are answered, and the server goes on."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from server_app.limits.middleware import MAX_RANGES, LimitsMiddleware
from server_app.settings import Limits, ServerSettings
from tests.server_app.conftest import eventually, refused
from tests.server_app.limits.conftest import SMALL, Small, read_all
from training.errors import InputError

JSON = {"Content-Type": "application/json; charset=utf-8"}


@pytest.fixture(autouse=True)
def _the_server_goes_on(small: Small) -> Iterator[None]:
    yield
    assert requests.get(small.url + "/info/", timeout=10).status_code == 200


def chunks(size: int, count: int, pause: float = 0.0) -> Iterator[bytes]:
    """A body whose length is not announced."""
    for _ in range(count):
        time.sleep(pause)
        yield bytes(size)


@contextmanager
def reaches_no_route(small: Small) -> Iterator[None]:
    before = list(small.seen)
    yield
    assert small.seen == before


def test_a_body_that_is_too_large_is_refused_before_it_arrives_or_once_it_turns_out(small: Small) -> None:
    answer = small.ask("PUT /session/ HTTP/1.1\nHost: x\nContent-Length: 99999999999\nConnection: close")
    assert answer.startswith(b"HTTP/1.1 413")
    with reaches_no_route(small):
        found = refused(requests.put(small.url + "/session/", data=chunks(2**16, 17), timeout=10), 413)
    assert found == {"field": "body", "message": "The request is larger than 1 MiB, the maximum here."}
    assert found["message"].encode() in answer


def test_only_routes_that_take_files_take_large_bodies(small: Small) -> None:
    for method, path in (("PUT", "/session/"), ("PUT", "/cases/a"), ("PUT", "/datastore/label"), ("POST", "/infer/m")):
        answer = requests.request(method, small.url + path, data=bytes(100_000), timeout=10)
        assert (answer.status_code, len(answer.content)) == (200, 100_000)
    for method, path in (("POST", "/train/m"), ("PUT", "/datastore/label/info"), ("GET", "/info/"), ("POST", "/x")):
        assert refused(requests.request(method, small.url + path, data=bytes(9000), timeout=10), 413)["field"] == "body"
        assert requests.request(method, small.url + path, data=bytes(8000), timeout=10).status_code != 413


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-gzip", "gzip, gzip", "identity, gzip", "new"])
def test_a_compressed_body_is_refused_and_not_taken_for_a_file(small: Small, coding: str) -> None:
    headers = {**JSON, "Content-Encoding": coding}
    for method, path in (("PUT", "/session/"), ("POST", "/train/m")):
        with reaches_no_route(small):
            answer = requests.request(method, small.url + path, data=gzip.compress(b"{}"), headers=headers, timeout=10)
            assert refused(answer, 415)["field"] == "Content-Encoding"
        assert answer.headers["accept-encoding"] == "identity"
    head = f"PUT /session/ HTTP/1.1\nHost: x\nContent-Length: 1\nContent-Encoding: identity\nContent-Encoding: {coding}"
    assert small.ask(f"{head}\nConnection: close", b"a").startswith(b"HTTP/1.1 415")


@pytest.mark.parametrize("coding", ["", "identity", "Identity", "identity, identity"])
def test_a_body_that_is_said_not_to_be_compressed_is_taken(small: Small, coding: str) -> None:
    headers = {"Content-Encoding": coding}
    assert requests.put(small.url + "/session/", data=b"abc", headers=headers, timeout=10).content == b"abc"


def test_a_body_with_two_lengths_is_refused_and_hides_no_request(small: Small) -> None:
    head = "PUT /session/ HTTP/1.1\nHost: x\nContent-Length: 4\nTransfer-Encoding: chunked"
    with reaches_no_route(small):
        answer = small.ask(head, b"0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_file_is_not_cut_into_many_pieces(small: Small) -> None:
    for pieces, status in ((MAX_RANGES, 200), (MAX_RANGES + 1, 416)):
        headers = {"Range": "bytes=" + ",".join(f"{number}-{number}" for number in range(pieces))}
        assert requests.get(small.url + "/info/", headers=headers, timeout=10).status_code == status


@pytest.mark.parametrize("head", ["PUT /session/ HTTP/1.1", "POST /train/m HTTP/1.1"])
def test_a_body_that_stops_growing_is_given_up(small: Small, head: str) -> None:
    with small.connect() as connection:
        connection.sendall(f"{head}\r\nHost: x\r\nContent-Length: 5000\r\n\r\n".encode())
        begun = time.monotonic()
        for _ in range(4):
            connection.sendall(b"a")
            time.sleep(0.2)
        assert read_all(connection).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - begun < 6


def test_a_slow_body_that_grows_steadily_is_waited_for(small: Small) -> None:
    begun = time.monotonic()
    answer = requests.put(small.url + "/session/", data=chunks(16_000, 15, pause=0.1), timeout=10)
    assert (answer.status_code, len(answer.content)) == (200, 240_000)
    assert time.monotonic() - begun > 1.4  # longer than a body that does not grow


PART = {"type": "http.request", "body": b"{}", "more_body": True}
LAST = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


def run(path: str, *messages: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Send a request in parts to an app behind the middleware; return what the app receives, and the client is sent."""
    received, sent, left = list[dict[str, Any]](), list[dict[str, Any]](), iter(messages)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        received.append({"called": True})
        while len(received) == 1 or received[-1].get("more_body"):
            received.append(dict(await receive()))
        if received[-1] == GONE:
            raise RuntimeError("The client has hung up.")
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> dict[str, Any]:
        return next(left, GONE)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "PUT", "path": path, "raw_path": path.encode(), "query_string": b""}
    asyncio.run(LimitsMiddleware(app, SMALL)({**scope, "headers": []}, receive, send))
    return received, sent


@pytest.mark.parametrize("came", [(), (PART,), (PART, PART)])
def test_half_a_body_is_never_taken_for_a_whole_one(came: tuple[dict[str, Any], ...]) -> None:
    assert run("/datastore/label/info", *came, GONE) == ([], [])  # a route without files is not even called
    assert run("/session/", *came, GONE) == ([{"called": True}, *came, GONE], [])
    for path in ("/datastore/label/info", "/session/"):
        received, sent = run(path, PART, LAST)
        assert b"".join(part["body"] for part in received[1:]) == b"{}"
        assert sent[0]["status"] == 200


@pytest.mark.parametrize("path", ["/train/m", "/session/"])
def test_a_client_that_hangs_up_in_the_middle_harms_nobody(small: Small, path: str) -> None:
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
    with reaches_no_route(small):
        for half in (b"", b"{}", b"abc"):
            with small.connect() as connection:
                connection.sendall(head.encode() + half)
                eventually(lambda: small.connections() == 1)
        eventually(lambda: small.connections() == 0)


def test_json_reaches_a_route_byte_for_byte_or_not_at_all(small: Small) -> None:
    def send(body: bytes) -> requests.Response:
        return requests.post(small.url + "/train/m", data=body, headers=JSON, timeout=10)

    with reaches_no_route(small):
        for unusable in (b"[" * 5000, b'{"a": NaN}', b"\xff\xfe"):
            assert refused(send(unusable), 422)["field"] == "body"
    body = b'{ "max_epochs":2 , "a":"\xc3\xa4"}'
    assert send(body).content == body


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/cases/..%2f..%2fetc", "path"),
        ("/cases/%2e%2e/x", "path"),
        ("/x?image=..%2fx", "image"),
        ("/x?base=/", "base"),
    ],
)
def test_an_address_with_an_unusable_name_does_not_reach_a_route(small: Small, target: str, field: str) -> None:
    with reaches_no_route(small):
        answer = small.ask(f"GET {target} HTTP/1.1\nHost: x\nConnection: close")
    assert answer.startswith(b"HTTP/1.1 422")
    assert f'"field":"{field}"'.encode() in answer


def test_there_are_no_web_sockets(small: Small) -> None:
    head = "GET /x HTTP/1.1\nHost: x\nConnection: Upgrade, close\nUpgrade: websocket\nSec-WebSocket-Version: 13"
    assert b"101" not in small.ask(head + "\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==").partition(b"\r\n")[0]


@contextmanager
def at_once(count: int, ask: Callable[[], object], gate: threading.Event) -> Iterator[None]:
    """Ask so often at once; at the end of the block the gate is opened and the answers are waited for."""
    with ThreadPoolExecutor(count) as threads:
        for _ in range(count):
            threads.submit(ask)
        yield
        gate.set()


def test_requests_beyond_the_limit_are_told_to_come_later(serve: Callable[..., Small]) -> None:
    server = serve(max_requests=2)

    def info() -> requests.Response:
        return requests.get(server.url + "/info/", timeout=10)

    def wait() -> None:
        while requests.get(server.url + "/wait", timeout=30).status_code == 503:
            time.sleep(0.01)  # the question below was faster

    with at_once(2, wait, server.gate):
        answer = eventually(lambda: (answer := info()).status_code == 503 and [answer])[0]
        assert "Try again" in refused(answer, 503)["message"]
        assert answer.headers["Retry-After"] == "5"
    eventually(lambda: info().status_code == 200)


def test_slow_requests_leave_room_for_quick_ones(serve: Callable[..., Small]) -> None:
    server = serve(max_requests=4)

    def upload() -> int:
        return requests.put(server.url + "/session/", data=b"x", timeout=10).status_code

    with at_once(3, lambda: requests.post(server.url + "/samples", timeout=30), server.gate):
        eventually(lambda: server.seen.count("a sample begins") == 3)
        assert upload() == 503
        for _ in range(20):
            assert requests.get(server.url + "/info/", timeout=10).status_code == 200
    eventually(lambda: upload() == 200)


def test_limits_are_settings() -> None:
    limits = ServerSettings.from_conf({"max_upload_mb": "1.5", "max_requests": "7", "source_labels": "true"}).limits
    assert (limits, limits.upload_bytes) == (Limits(max_upload_mb=1.5, max_requests=7), 3 * 2**19)
    for conf in ({"max_voxels": "many"}, {"max_requests": "0"}, {"header_seconds": "-1"}):
        with pytest.raises(InputError) as caught:
            ServerSettings.from_conf(conf)
        assert caught.value.field in conf
