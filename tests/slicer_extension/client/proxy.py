"""A proxy in front of a real server that breaks what a test tells it to break.

Without a fault it relays everything byte for byte, except that every connection carries one request. Faults belong to a
request's method and path::

    with proxy_of(server.url) as proxy:
        proxy.fault("PUT /session/*", cut_request(50_000), times=1)
        ...                                    # the upload breaks off once; the next one arrives
        proxy.go_down()                        # from here on nobody listens, and open connections are cut
        proxy.come_up()
        assert proxy.requests_to("PUT /session/*")[-1].files == ["flair.nrrd"]
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from typing import Any
from urllib.parse import urlsplit

_CHUNK = 1 << 16
#: SO_LINGER that makes ``close`` send a reset, as the system of a killed process does.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """What happens to a request; the plain ``Fault()`` relays it untouched."""

    #: Seconds before anything is relayed or answered, and whether the connection is then closed without an answer.
    wait: float = 0.0
    hang_up: bool = False
    #: Sent instead of the server's answer; empty to ask the server.
    answer: bytes = b""
    #: Cut the connection after so many bytes of the request's or the answer's body.
    request_limit: int | None = None
    response_limit: int | None = None


def silent(seconds: float) -> Fault:
    """Accept, say nothing for so many seconds, then hang up."""
    return Fault(wait=seconds, hang_up=True)


def delay(seconds: float) -> Fault:
    return Fault(wait=seconds)


def cut_request(after: int) -> Fault:
    return Fault(request_limit=after)


def cut_response(after: int) -> Fault:
    return Fault(response_limit=after)


def answer_json(status: int, content: Any) -> Fault:
    """Answer in the server's place."""
    return _answer(status, "application/json", json.dumps(content))


def wrong_token() -> Fault:
    """Answer as a server that expects another token."""
    return answer_json(401, {"detail": "Invalid token"})


def broken_server() -> Fault:
    """Answer as a web server whose application crashed: HTTP 500 with a page."""
    page = "<html><head><title>500</title></head><body><h1>Internal Server Error</h1></body></html>"
    return _answer(500, "text/html; charset=utf-8", page)


def full_disk() -> Fault:
    """Answer as the TumorLoop server whose disk is full: HTTP 507."""
    message = "The server's disk is full. Nothing was stored; free some space on it and try again."
    return answer_json(507, {"detail": {"field": "disk", "message": message}})


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


class FaultyProxy:
    """Listens on a free port of 127.0.0.1 and relays requests to one server, recording them in order of arrival."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname, parts.port or 80)
        self.requests: list[Recorded] = []
        self._rules: list[tuple[str, Iterator[Fault]]] = []
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._port = 0
        self.come_up()

    @property
    def url(self) -> str:
        """The proxy's address, which :meth:`go_down` and :meth:`come_up` do not change."""
        return f"http://127.0.0.1:{self._port}"

    def fault(self, pattern: str, fault: Fault, times: int | None = None) -> None:
        """Apply a fault to all requests, or the next ``times``, that match; a later call takes precedence.

        A pattern is method and path without query, ``*`` for anything: ``"POST /infer/*"`` or ``"*"``.
        """
        with self._lock:
            self._rules.insert(0, (pattern, repeat(fault) if times is None else repeat(fault, times)))

    def requests_to(self, pattern: str) -> list[Recorded]:
        """Return the recorded requests that match a pattern (see :meth:`fault`)."""
        return [seen for seen in self.requests if fnmatchcase(seen.name, pattern)]

    def record(self, seen: Recorded) -> Fault:
        """Record a request and return what happens to it."""
        with self._lock:
            self.requests.append(seen)
            faults = (next(left, None) for pattern, left in self._rules if fnmatchcase(seen.name, pattern))
            return next(filter(None, faults), Fault())

    def go_down(self) -> None:
        """Refuse connections and cut those that are open, as a server that was killed."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.down.set()
            for connection in list(server.open):
                _reset(connection)

    def come_up(self) -> None:
        """Listen again, on the same port as before."""
        if self._server is None:
            self._server = _Server(self, self._port)
            self._port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.02,), name="faulty-proxy").start()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: FaultyProxy, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.proxy = proxy
        self.down = threading.Event()
        self.open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are what the proxy is for."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""

    def handle_any(self) -> None:
        self.close_connection = True
        seen = Recorded(f"{self.command} {self.path.partition('?')[0]}")
        fault = self.server.proxy.record(seen)
        if self.server.down.wait(fault.wait) or fault.hang_up:
            return
        announced = int(self.headers.get("Content-Length", 0))
        limit = announced if fault.request_limit is None else min(announced, fault.request_limit)
        seen.body = self.rfile.read(limit)
        if fault.answer:
            self.wfile.write(fault.answer)
            return
        server = socket.create_connection(self.server.proxy.upstream, timeout=10)
        with server:
            server.settimeout(None)
            lines = [self.requestline, *(f"{name}: {value}" for name, value in self.headers.items())]
            kept = [line for line in lines if not line.lower().startswith("connection:")]
            server.sendall("\r\n".join([*kept, "Connection: close", "", ""]).encode("latin-1") + seen.body)
            if len(seen.body) < announced:
                _reset(self.connection)
                return
            watch = threading.Thread(target=self._hang_up_with_the_client, args=(server,), daemon=True)
            watch.start()
            self._answer(server, fault.response_limit)
            _hang_up(self.connection)
            watch.join(10)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def _hang_up_with_the_client(self, server: socket.socket) -> None:
        """Let the server know at once when the client, which has sent all, closes its connection."""
        with suppress(OSError):
            self.connection.recv(1)
        _hang_up(server)

    def _answer(self, server: socket.socket, limit: int | None) -> None:
        """Relay the answer to its end or, if there is a limit, to that many bytes of its body."""
        data = b""
        while limit is not None and b"\r\n\r\n" not in data and (more := server.recv(1)):
            data += more
        self.connection.sendall(data)
        with suppress(OSError):
            while limit != 0 and (data := server.recv(_CHUNK if limit is None else min(limit, _CHUNK))):
                self.connection.sendall(data)
                limit = None if limit is None else limit - len(data)


def _hang_up(connection: socket.socket) -> None:
    """End a connection in both directions and wake the threads that wait for it; its owner closes it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _reset(connection: socket.socket) -> None:
    """End a connection as the system of a killed process does."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    _hang_up(connection)


@contextmanager
def proxy_of(upstream: str) -> Iterator[FaultyProxy]:
    """Run a proxy in front of the server at an address."""
    proxy = FaultyProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.go_down()
