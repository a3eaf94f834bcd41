"""A proxy in front of a real server that records the requests and breaks what a test tells it to break.

Without a fault it relays everything byte for byte, except that every connection carries one request::

    with proxy_of(server.url) as proxy:
        proxy.fault("PUT /session/*", cut_request(50_000), times=1)
        ...                                    # the upload breaks off once; the next one arrives
        assert proxy.requests_to("PUT /session/*")[-1].files == ["flair.nrrd"]
"""

import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from typing import Any, NamedTuple
from urllib.parse import urlsplit

#: SO_LINGER that makes ``close`` send a reset, as the system of a killed process does.
_RESET = struct.pack("ii", 1, 0)


class Fault(NamedTuple):
    """What happens to a request; the plain ``Fault()`` relays it untouched."""

    #: Sent instead of the server's answer; empty to ask the server.
    answer: bytes = b""
    #: Cut the connection after so many bytes of the request's or the answer's body.
    request_limit: int | None = None
    response_limit: int | None = None


def cut_request(after: int) -> Fault:
    return Fault(request_limit=after)


def cut_response(after: int) -> Fault:
    return Fault(response_limit=after)


def answer_json(status: int, content: Any) -> Fault:
    return _answer(status, "application/json", json.dumps(content))


def wrong_token() -> Fault:
    return answer_json(401, {"detail": "Invalid token"})


def broken_server() -> Fault:
    """Answer as a web server whose application crashed: HTTP 500 with a page."""
    page = "<html><head><title>500</title></head><body><h1>Internal Server Error</h1></body></html>"
    return _answer(500, "text/html; charset=utf-8", page)


def _answer(status: int, content_type: str, body: str) -> Fault:
    head = f"HTTP/1.1 {status} Made Up\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return Fault(answer=f"{head}Connection: close\r\n\r\n{body}".encode())


@dataclass
class Recorded:
    """A request that the proxy received: ``PUT /session/``, and as much of its body as arrived."""

    name: str
    body: bytes = b""

    @property
    def files(self) -> list[str]:
        """Names of the files in the form that was sent, for example ``["t1.nrrd", "flair.nrrd"]``."""
        return [name.decode() for name in re.findall(rb'[;\s]filename="([^"]*)"', self.body)]


class FaultyProxy(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1 and relays requests to one server, recording them in order of arrival."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname, parts.port or 80)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.requests: list[Recorded] = []
        self._rules: list[tuple[str, Iterator[Fault]]] = []
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), name="faulty-proxy").start()

    def fault(self, pattern: str, fault: Fault, times: int | None = None) -> None:
        """Apply a fault to all requests, or the next ``times``, that match; a later call takes precedence.

        A pattern is method and path without query, ``*`` for anything: ``"POST /infer/*"`` or ``"*"``.
        """
        with self._lock:
            self._rules.insert(0, (pattern, repeat(fault) if times is None else repeat(fault, times)))

    def requests_to(self, pattern: str) -> list[Recorded]:
        return [seen for seen in self.requests if fnmatchcase(seen.name, pattern)]

    def record(self, seen: Recorded) -> Fault:
        with self._lock:
            self.requests.append(seen)
            faults = (next(left, None) for pattern, left in self._rules if fnmatchcase(seen.name, pattern))
            return next(filter(None, faults), Fault())

    def go_down(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are what the proxy is for."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultyProxy

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""

    def handle_any(self) -> None:
        self.close_connection = True
        seen = Recorded(f"{self.command} {self.path.partition('?')[0]}")
        fault = self.server.record(seen)
        announced = int(self.headers.get("Content-Length", 0))
        limit = announced if fault.request_limit is None else min(announced, fault.request_limit)
        seen.body = self.rfile.read(limit)
        if fault.answer:
            self.wfile.write(fault.answer)
            return
        with socket.create_connection(self.server.upstream) as server:
            del self.headers["Connection"]
            lines = [
                self.requestline,
                *(f"{name}: {value}" for name, value in self.headers.items()),
                "Connection: close",
            ]
            server.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + seen.body)
            if len(seen.body) < announced:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return
            with server.makefile("rb") as answer:
                head, end, body = answer.read().partition(b"\r\n\r\n")
        self.wfile.write(head + end + body[: fault.response_limit])

    do_GET = do_POST = do_PUT = do_DELETE = handle_any


@contextmanager
def proxy_of(upstream: str) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.go_down()
