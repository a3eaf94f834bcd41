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
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

_CHUNK = 1 << 16
#: SO_LINGER that makes ``close`` send a reset, as the system of a killed process does.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """What happens to a request; the plain ``Fault()`` relays it untouched.

    Attributes:
        wait: Seconds before anything is relayed or answered.
        hang_up: Close the connection after that, without an answer.
        answer: Send this instead of the server's answer; empty to ask the server.
        request_limit: Cut the connection after this many bytes of the request's body.
        response_limit: Cut it after this many bytes of the answer's body.
    """

    wait: float = 0.0
    hang_up: bool = False
    answer: bytes = b""
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
    announced: int
    body: bytearray = field(default_factory=bytearray)

    @property
    def files(self) -> list[str]:
        """Names of the files in the form that was sent, for example ``["t1.nrrd", "flair.nrrd"]``."""
        return [name.decode() for name in re.findall(rb'[;\s]filename="([^"]*)"', bytes(self.body))]


@dataclass
class _Rule:
    pattern: str
    fault: Fault
    left: int | None

    def matches(self, name: str) -> bool:
        return self.left != 0 and fnmatchcase(name, self.pattern)


class FaultyProxy:
    """Listens on a free port of 127.0.0.1 and relays requests to one server, recording them in order of arrival."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self._port = 0
        self.requests: list[Recorded] = []
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
            self._rules.insert(0, _Rule(pattern, fault, times))

    def requests_to(self, pattern: str) -> list[Recorded]:
        """Return the recorded requests that match a pattern (see :meth:`fault`)."""
        return [seen for seen in self.requests if fnmatchcase(seen.name, pattern)]

    def go_down(self) -> None:
        """Refuse connections and cut those that are open, as a server that was killed."""
        with self._lock:
            listener, self._listener = self._listener, None
            still_open = list(self._open)
            self._open.clear()
        if listener is not None:
            # Closing alone would leave the accepting thread, and with it the port, waiting for one more client.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for connection in still_open:
            _reset(connection)

    def come_up(self) -> None:
        """Listen again, on the same port as before."""
        if self._listener is None:
            listener = socket.create_server(("127.0.0.1", self._port))
            self._port = listener.getsockname()[1]
            self._listener = listener
            self._start(self._accept, listener)

    def stop(self) -> None:
        """Close everything and wait for all threads."""
        self._over.set()
        self.go_down()
        for thread in self._threads:
            thread.join(10)

    def _start(self, target, *arguments) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, name="faulty-proxy", daemon=True)
        with self._lock:
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                if self._listener is not listener:
                    _reset(client)
                    return
                self._open.add(client)
            self._start(self._serve, client)

    @contextmanager
    def _closed_afterwards(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _serve(self, client: socket.socket) -> None:
        with self._closed_afterwards(client), suppress(OSError):
            self._handle(client)

    def _handle(self, client: socket.socket) -> None:
        head, rest = _read_head(client)
        if not head:
            return
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        method, target = head.decode("latin-1").split(" ")[:2]
        seen = Recorded(f"{method} {target.partition('?')[0]}", int(length.group(1)) if length else 0)
        fault = Fault()
        with self._lock:
            rule = next((rule for rule in self._rules if rule.matches(seen.name)), None)
            if rule is not None:
                rule.left = None if rule.left is None else rule.left - 1
                fault = rule.fault
            self.requests.append(seen)
        if fault.wait:
            self._over.wait(fault.wait)
        if fault.hang_up or client not in self._open:
            return
        if fault.answer:
            _answer_alone(client, seen, fault, rest)
            return
        server = socket.create_connection(self._upstream, timeout=10)
        server.settimeout(None)
        with self._closed_afterwards(server):
            self._relay(client, server, seen, fault, head, rest)

    def _relay(self, client, server, seen: Recorded, fault: Fault, head: bytes, rest: bytes) -> None:
        """Relay both directions, each in a thread: a server may answer early, and learns at once of a hang-up."""
        without = re.sub(rb"(?im)^connection:[^\r]*\r\n", b"", head)
        server.sendall(without[:-2] + b"Connection: close\r\n\r\n")
        upload = self._start(_upload, client, server, seen, fault.request_limit, rest)
        try:
            _download(client, server, fault.response_limit)
        finally:
            # A client that still sends is stuck until it is reset: nobody reads, and a closed window stays closed.
            (_reset if len(seen.body) < seen.announced else _hang_up)(client)
            upload.join(10)


def _upload(client, server, seen: Recorded, limit: int | None, rest: bytes) -> None:
    """Relay the body; then wait for the client to hang up, and let the server know."""
    with suppress(OSError):
        while data := rest or client.recv(_CHUNK):
            rest = b""
            if limit is not None:
                data = data[: limit - len(seen.body)]
            seen.body += data  # before the server has it: the server may answer and close at once
            server.sendall(data)
            if limit is not None and len(seen.body) >= limit:
                _reset(client)
                break
    _hang_up(server)


def _download(client, server, limit: int | None) -> None:
    """Relay the answer to its end, or to ``limit`` bytes of its body; no reset, which could take back what was sent."""
    head, body = _read_head(server)
    client.sendall(head)
    while body or (body := server.recv(_CHUNK)):
        if limit is not None:
            body, limit = body[:limit], limit - len(body)
        client.sendall(body)
        body = b""
        if limit is not None and limit <= 0:
            return


def _answer_alone(client: socket.socket, seen: Recorded, fault: Fault, rest: bytes) -> None:
    """Read a request to its end and send the fault's answer."""
    seen.body += rest
    while len(seen.body) < seen.announced:
        data = client.recv(_CHUNK)
        if not data:
            return
        seen.body += data
    client.sendall(fault.answer)
    _hang_up(client)


def _read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return a message's head, its empty line included, and what came with it; an empty head if it never ends."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(_CHUNK)
        if not more:
            return b"", b""
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


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
        proxy.stop()
