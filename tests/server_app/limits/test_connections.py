"""Connections that ask for nothing, or for too much before there is a request."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import requests

from tests.server_app.limits.conftest import Small, read_all


def drip(connection: socket.socket, content: bytes) -> float:
    """Send a byte every tenth of a second; return after how many seconds the server had enough."""
    begun = time.monotonic()
    for letter in content:
        try:
            connection.sendall(bytes([letter]))
        except OSError:
            return time.monotonic() - begun
        time.sleep(0.1)
    raise AssertionError("the server has waited for it all")


@pytest.mark.parametrize(
    "first", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["nothing", "a byte", "half"]
)
def test_a_connection_that_never_asks_is_closed(small: Small, first: bytes) -> None:
    with small.connect() as connection:
        connection.sendall(first)
        begun = time.monotonic()
        assert read_all(connection) == b""
        assert 0.5 < time.monotonic() - begun < 5


def test_a_head_that_drips_is_not_waited_for(small: Small) -> None:
    with small.connect() as connection:
        assert drip(connection, b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 100) < 5


def test_the_next_request_of_a_connection_may_drip_no_more_than_the_first(small: Small) -> None:
    with small.connect() as connection:
        connection.sendall(b"GET /info/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert drip(connection, b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 100) < 5


def test_what_is_left_of_a_refused_body_is_not_waited_for(small: Small) -> None:
    with small.connect() as connection:
        connection.sendall(b"PUT /session/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n")
        assert drip(connection, b"a" * 100) < 5


def test_who_sends_a_refused_body_to_its_end_reads_why(small: Small) -> None:
    with small.connect() as connection:
        connection.sendall(b"PUT /session/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1200000\r\n\r\n")
        for _ in range(30):
            time.sleep(0.1)
            connection.sendall(bytes(40_000))
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_request_under_way_may_take_longer_than_a_head(serve: Callable[..., Small]) -> None:
    server = serve(header_seconds=0.3)
    with server.connect() as connection:
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(1)
        server.gate.set()
        assert read_all(connection).endswith(b'"waited"')


def test_a_head_without_an_end_is_refused(small: Small) -> None:
    answer = small.ask("GET / HTTP/1.1\n" + "\n".join(f"X-{number}: {'a' * 1000}" for number in range(100)))
    assert not answer or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))


@pytest.mark.parametrize(
    "head",
    ["nonsense", "GET /\x01 HTTP/1.1\nHost: x", "GET / HTTP/1.1\nHost: x\nHost: y", "\0" * 100],
)
def test_what_is_no_http_is_refused(small: Small, head: str) -> None:
    answer = small.ask(head)
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert requests.get(small.url + "/info/", timeout=10).status_code == 200


def test_two_lengths_for_one_body_are_refused(small: Small) -> None:
    twice = "POST /x HTTP/1.1\nHost: x\nContent-Length: 5\nContent-Length: 6\nConnection: close"
    assert small.ask(twice, b"abcdef").startswith(b"HTTP/1.1 400")


def test_a_client_takes_only_so_many_connections_from_the_others(serve: Callable[..., Small]) -> None:
    server = serve(max_connections_per_client=3, header_seconds=20)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(server.connect())
        time.sleep(0.2)
        with server.connect() as one_more:
            assert read_all(one_more) == b""
    time.sleep(0.2)
    assert requests.get(server.url + "/info/", timeout=10).status_code == 200


def test_all_connections_together_are_limited(serve: Callable[..., Small]) -> None:
    server = serve(max_connections=4, max_connections_per_client=0, header_seconds=20)
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(server.connect())
        time.sleep(0.2)
        assert requests.get(server.url + "/info/", timeout=10).status_code == 503
    time.sleep(0.2)
    assert requests.get(server.url + "/info/", timeout=10).status_code == 200


@pytest.mark.parametrize("path", ["/much", "/bit_by_bit"])
def test_a_client_that_takes_no_answer_is_given_up(serve: Callable[..., Small], path: str) -> None:
    server = serve(reply_seconds=0.5)
    with server.connect() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        time.sleep(3)
        assert len(read_all(connection)) < 64 * 2**20
