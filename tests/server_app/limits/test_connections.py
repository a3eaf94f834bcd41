"""Connections that ask for nothing, or for too much before there is a request."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest
import requests

from tests.server_app.conftest import eventually
from tests.server_app.limits.conftest import Small, read_all

SLOW_HEAD = b"GET / HTTP/1.1\r\nX-Slow: " + b"a" * 100


def drip(connection: socket.socket, content: bytes) -> None:
    """Send a byte every tenth of a second."""
    for letter in content:
        connection.sendall(bytes([letter]))
        time.sleep(0.1)


@pytest.mark.parametrize(
    "first", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["nothing", "a byte", "half"]
)
def test_a_connection_that_never_completes_a_request_is_closed(small: Small, first: bytes) -> None:
    with small.connect() as connection:
        connection.sendall(first)
        begun = time.monotonic()
        assert read_all(connection) == b""
        assert 0.5 < time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("before", "slowly"),
    [(b"", SLOW_HEAD), (b"GET /info/ HTTP/1.1\r\nHost: x\r\n\r\n", SLOW_HEAD),
     (b"PUT /session/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n", b"a" * 100)],
    ids=["the first head", "the next head", "the rest of a refused body"],
)  # fmt: skip
def test_a_client_that_sends_byte_by_byte_is_not_waited_for(small: Small, before: bytes, slowly: bytes) -> None:
    with small.connect() as connection:
        connection.sendall(before)
        assert before[:3] != b"GET" or connection.recv(1000).startswith(b"HTTP/1.1 200")
        begun = time.monotonic()
        with pytest.raises(ConnectionError):
            drip(connection, slowly)
        assert time.monotonic() - begun < 5


def test_a_client_that_sends_a_refused_body_steadily_can_read_why_it_was_refused(small: Small) -> None:
    with small.connect() as connection:
        connection.sendall(b"PUT /session/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1200000\r\n\r\n")
        for _ in range(20):  # longer than the head of a request may take
            time.sleep(0.1)
            connection.sendall(bytes(60_000))
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_the_answer_to_a_request_may_take_longer_than_its_head(serve: Callable[..., Small]) -> None:
    server = serve(header_seconds=0.2)
    with server.connect() as connection:
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(0.6)
        server.gate.set()
        assert read_all(connection).endswith(b'"waited"')


@pytest.mark.parametrize(
    "head",
    ["nonsense", "GET /\x01 HTTP/1.1\nHost: x", "GET / HTTP/1.1\nHost: x\nHost: y", "\0" * 9,
     "GET / HTTP/1.1\n" + "\n".join(f"X-{number}: {'a' * 1000}" for number in range(100)),
     "POST /x HTTP/1.1\nHost: x\nContent-Length: 5\nContent-Length: 6\nConnection: close"],
    ids=["no request", "a control character", "two hosts", "zeros", "an endless head", "two lengths for one body"],
)  # fmt: skip
def test_what_is_not_http_is_refused(small: Small, head: str) -> None:
    answer = small.ask(head, b"abcdef")
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert requests.get(small.url + "/info/", timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("limits", "fit"),
    [({"max_connections_per_client": 3}, 3), ({"max_connections": 4, "max_connections_per_client": 0}, 5)],
    ids=["of one client", "of all"],
)
def test_connections_are_limited(serve: Callable[..., Small], limits: dict[str, int], fit: int) -> None:
    server = serve(**limits, header_seconds=20)
    with ExitStack() as stack:
        for _ in range(fit):
            stack.enter_context(server.connect())
        eventually(lambda: server.connections() == fit)
        with server.connect() as one_more:
            with suppress(ConnectionError):
                one_more.sendall(b"GET /info/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert read_all(one_more)[:12] in ((b"HTTP/1.1 503",) if "max_connections" in limits else (b"",))
    eventually(lambda: server.connections() == 0)
    assert requests.get(server.url + "/info/", timeout=10).status_code == 200


@pytest.mark.parametrize("path", ["/much", "/bit_by_bit"])
def test_a_client_that_does_not_read_its_answer_is_given_up(serve: Callable[..., Small], path: str) -> None:
    server = serve(reply_seconds=0.5)
    with server.connect() as connection:
        # otherwise the system may take the whole answer for the client
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        eventually(lambda: server.connections() == 1)
        eventually(lambda: server.connections() == 0, seconds=5)
        assert len(read_all(connection)) < 64 * 2**20


@pytest.mark.parametrize("path", ["/much", "/bit_by_bit"])
def test_a_client_that_reads_its_answer_slowly_gets_all_of_it(serve: Callable[..., Small], path: str) -> None:
    server = serve(reply_seconds=0.5)
    with server.connect() as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        size = 0
        while part := connection.recv(2**21):
            size += len(part)
            time.sleep(0.05)
        assert size > 64 * 2**20
