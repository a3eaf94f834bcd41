"""Requests that are too large, too slow, too many or no requests at all are answered, and the server goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from server_app.settings import Limits, ServerSettings
from tests.server_app.conftest import eventually
from tests.server_app.limits.conftest import Small, read_all
from training.errors import InputError


@pytest.fixture(autouse=True)
def _the_server_goes_on(small: Small) -> Iterator[None]:
    yield
    assert requests.get(small.url + "/info/", timeout=10).status_code == 200


def detail(answer: requests.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return dict(answer.json()["detail"])


def chunks(size: int, count: int) -> Iterator[bytes]:
    """A body whose length nobody says before."""
    for _ in range(count):
        yield bytes(size)


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(small: Small) -> None:
    answer = small.ask("PUT /session/ HTTP/1.1\nHost: x\nContent-Length: 99999999999\nConnection: close")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"1 MiB" in answer


def test_a_body_that_is_too_large_without_saying_so_is_refused(small: Small) -> None:
    before = list(small.seen)
    found = detail(requests.put(small.url + "/session/", data=chunks(2**16, 17), timeout=10), 413)
    assert found == {"field": "body", "message": "The request is larger than 1 MiB, the maximum here."}
    assert small.seen == before


def test_only_routes_that_take_files_take_large_bodies(small: Small) -> None:
    for method, path in (("PUT", "/session/"), ("PUT", "/cases/a"), ("PUT", "/datastore/label"), ("POST", "/infer/m")):
        answer = requests.request(method, small.url + path, data=bytes(100_000), timeout=10)
        assert (answer.status_code, len(answer.content)) == (200, 100_000)
    for method, path in (("POST", "/train/m"), ("PUT", "/datastore/label/info"), ("GET", "/info/"), ("POST", "/x")):
        assert detail(requests.request(method, small.url + path, data=bytes(9000), timeout=10), 413)["field"] == "body"
        with pytest.raises(AssertionError):
            detail(requests.request(method, small.url + path, data=bytes(8000), timeout=10), 413)


def test_a_body_that_drips_is_given_up(small: Small) -> None:
    for head in ("PUT /session/ HTTP/1.1", "POST /train/m HTTP/1.1"):
        with small.connect() as connection:
            connection.sendall(f"{head}\r\nHost: x\r\nContent-Length: 5000\r\n\r\n".encode())
            begun = time.monotonic()
            for _ in range(4):
                connection.sendall(b"a")
                time.sleep(0.2)
            answer = read_all(connection)
            assert answer.startswith(b"HTTP/1.1 408")
            assert time.monotonic() - begun < 6


def test_a_slow_body_that_grows_steadily_is_waited_for(small: Small) -> None:
    def steadily() -> Iterator[bytes]:
        for _ in range(20):
            time.sleep(0.1)
            yield bytes(16_000)

    begun = time.monotonic()
    answer = requests.put(small.url + "/session/", data=steadily(), timeout=10)
    assert (answer.status_code, len(answer.content)) == (200, 320_000)
    assert time.monotonic() - begun > 1.5  # longer than a body that does not grow


def test_a_client_that_hangs_up_in_the_middle_harms_nobody(small: Small) -> None:
    for path in ("/session/", "/train/m"):
        with small.connect() as connection:
            connection.sendall(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc".encode())


@pytest.mark.parametrize("path", ["/train/m", "/session/"])
def test_half_a_body_is_never_taken_for_a_whole_one(small: Small, path: str) -> None:
    before = list(small.seen)
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
    for half in (b"", b"{}"):
        with small.connect() as connection:
            connection.sendall(head.encode() + half)
            time.sleep(0.1)
    time.sleep(0.3)
    assert small.seen == before


@pytest.mark.parametrize("body", [b"[" * 5000, b'{"a": NaN}', b'"\\ud800"', b"{", b'{"a": 1e999}', b"\xff\xfe"])
def test_json_that_cannot_be_used_does_not_reach_a_route(small: Small, body: bytes) -> None:
    before = list(small.seen)
    headers = {"Content-Type": "application/json; charset=utf-8"}
    found = detail(requests.post(small.url + "/train/m", data=body, headers=headers, timeout=10), 422)
    assert found["field"] == "body"
    assert small.seen == before


def test_ordinary_json_reaches_the_route_byte_for_byte(small: Small) -> None:
    body = b'{ "max_epochs":2 , "a":"\xc3\xa4"}'
    answer = requests.post(small.url + "/train/m", data=body, headers={"Content-Type": "application/json"}, timeout=10)
    assert answer.content == body


@pytest.mark.parametrize(
    "target",
    ["/cases/..%2f..%2fetc", "/cases/%2e%2e/x", "/cases/a%00b", "/cases/..%5cx", "/cases/%252e%252e", "/%c0%ae/x"],
)
def test_an_address_that_is_no_plain_one_does_not_reach_a_route(small: Small, target: str) -> None:
    before = list(small.seen)
    answer = small.ask(f"GET {target} HTTP/1.1\nHost: x\nConnection: close")
    assert answer.startswith(b"HTTP/1.1 422")
    assert b'"field":"path"' in answer
    assert small.seen == before


def test_parameters_are_checked_before_the_route(small: Small) -> None:
    assert detail(requests.get(small.url + "/x?image=..%2fx", timeout=10), 422)["field"] == "image"
    assert detail(requests.put(small.url + "/session/?base=/etc", timeout=10), 422)["field"] == "base"


def test_there_are_no_web_sockets(small: Small) -> None:
    head = "GET /x HTTP/1.1\nHost: x\nConnection: Upgrade, close\nUpgrade: websocket\nSec-WebSocket-Version: 13"
    assert b"101" not in small.ask(head + "\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==").partition(b"\r\n")[0]


def test_requests_beyond_the_number_are_told_to_come_later(serve: Callable[..., Small]) -> None:
    server = serve(max_requests=2)

    def wait() -> None:
        while requests.get(server.url + "/wait", timeout=30).status_code == 503:
            time.sleep(0.01)  # the question below was faster

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    eventually(lambda: is_refused(server.url))
    answer = requests.get(server.url + "/info/", timeout=10)
    assert "Try again" in detail(answer, 503)["message"]
    assert answer.headers["Retry-After"] == "5"
    server.gate.set()
    for thread in threads:
        thread.join(10)
    eventually(lambda: not is_refused(server.url))


def test_slow_requests_leave_room_for_quick_ones(serve: Callable[..., Small]) -> None:
    server = serve(max_requests=4)
    threads = [threading.Thread(target=requests.post, args=(server.url + "/samples",)) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: server.seen.count("a sample begins") == 3)
    assert requests.put(server.url + "/session/", data=b"x", timeout=10).status_code == 503
    for _ in range(20):
        assert requests.get(server.url + "/info/", timeout=10).status_code == 200
    server.gate.set()
    for thread in threads:
        thread.join(10)
    eventually(lambda: requests.put(server.url + "/session/", data=b"x", timeout=10).status_code == 200)


def is_refused(url: str) -> bool:
    return requests.get(url + "/info/", timeout=10).status_code == 503


def test_limits_are_settings() -> None:
    settings = ServerSettings.from_conf({"max_upload_mb": "1.5", "max_requests": "7", "source_labels": "true"})
    assert settings.limits == Limits(max_upload_mb=1.5, max_requests=7)
    assert settings.limits.upload_bytes == 3 * 2**19
    for conf in ({"max_voxels": "many"}, {"max_requests": "0"}, {"header_seconds": "-1"}):
        with pytest.raises(InputError) as caught:
            ServerSettings.from_conf(conf)
        assert caught.value.field in conf
