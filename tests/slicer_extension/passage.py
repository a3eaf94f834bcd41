"""One request on its way through the proxy to the server, and its answer on the way back."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from tests.slicer_extension.faults import Recorded

_CHUNK = 1 << 16
_LONGEST_HEAD = 1 << 16
#: SO_LINGER that makes ``close`` send a reset, as the system of a killed process does.
_RESET = struct.pack("ii", 1, 0)


class Passage:
    """Two directions, a thread for each: a server may answer early, and hears at once of a client that hangs up.

    Args:
        client: The connection that the request came in on.
        server: A connection to the server.
        seen: The record of the request; its fault says what goes wrong.
        over: Set when the proxy is stopped.
    """

    def __init__(self, client: socket.socket, server: socket.socket, seen: Recorded, over: threading.Event) -> None:
        self._client = client
        self._server = server
        self._seen = seen
        self._over = over
        self._left = threading.Event()

    def run(self, head: bytes, rest: bytes, start: Callable[..., threading.Thread]) -> None:
        """Pass the request and its answer on.

        Args:
            head: The head of the request.
            rest: What of its body came with the head.
            start: Starts a thread of the proxy.
        """
        self._server.sendall(_one_request_only(head))
        upload = start(self._upload, rest)
        try:
            self._download()
        finally:
            self._seen.cancelled = self._left.is_set() and not self._seen.finished
            # A client that still sends is stuck until it is reset: nobody reads, and a closed window stays closed.
            (reset if self._seen.size < self._seen.announced else hang_up)(self._client)
            upload.join(10)
            self._seen.broke_off = self._seen.size < self._seen.announced or not self._seen.finished

    def _upload(self, rest: bytes) -> None:
        """Pass the body on; afterwards wait for the client to hang up, and tell the server at once."""
        seen, limit = self._seen, self._seen.fault.request_limit
        with suppress(OSError):
            while True:
                data = rest or self._client.recv(_CHUNK)
                rest = b""
                if not data:
                    self._left.set()
                    break
                if limit is not None:
                    data = data[: limit - seen.size]
                self._send(self._server, data)
                seen.body += data
                if limit is not None and seen.size >= limit:
                    reset(self._client)
                    break
        hang_up(self._server)

    def _download(self) -> None:
        """Pass the answer on until it ends, or until as much of its body as the fault allows has gone through."""
        seen, limit = self._seen, self._seen.fault.response_limit
        head, body = read_head(self._server)
        if not head:
            return
        seen.status = int(head.split()[1])
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        self._client.sendall(head)
        while body or (body := self._server.recv(_CHUNK)):
            if limit is not None:
                body = body[: limit - seen.answered]
            self._send(self._client, body)
            seen.answered += len(body)
            body = b""
            if limit is not None and seen.answered >= limit:
                # Not a reset, which could take back what was sent.
                return
        # A client may hang up as soon as it has all; without a length only the server's end tells that it was all.
        seen.finished = seen.answered >= int(length.group(1)) if length else not self._left.is_set()

    def _send(self, target: socket.socket, data: bytes) -> None:
        speed = self._seen.fault.bytes_per_second
        if speed is None:
            target.sendall(data)
            return
        step = max(1, int(speed / 20))
        for start in range(0, len(data), step):
            target.sendall(data[start : start + step])
            if self._over.wait(step / speed):
                raise ConnectionAbortedError("the proxy was stopped")


def answer_alone(client: socket.socket, seen: Recorded, rest: bytes) -> None:
    """Read a request to its end and answer it in the server's place, as its fault says."""
    seen.body += rest
    while seen.size < seen.announced:
        data = client.recv(_CHUNK)
        if not data:
            seen.broke_off = seen.cancelled = True
            return
        seen.body += data
    client.sendall(seen.fault.answer())
    seen.status, seen.answered, seen.finished = seen.fault.status, len(seen.fault.body), True
    hang_up(client)


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return a message's head, its empty line included, and what came with it; an empty head if it never ends."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(_CHUNK)
        if not more or len(data) > _LONGEST_HEAD:
            return b"", b""
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def hang_up(connection: socket.socket) -> None:
    """End a connection in both directions and wake the threads that wait for it; its owner closes it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def reset(connection: socket.socket) -> None:
    """End a connection as the system of a killed process does."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    hang_up(connection)


def _one_request_only(head: bytes) -> bytes:
    without = re.sub(rb"(?im)^connection:[^\r]*\r\n", b"", head)
    return without[:-2] + b"Connection: close\r\n\r\n"
