"""A proxy in front of a real server that breaks what a test tells it to break, where and when the test wants it.

Without a fault it passes everything through, byte for byte, but for one header: every connection carries one request.
Faults belong to a request's method and path and can be set and taken away while the proxy runs::

    with proxy_of(server.url) as proxy:
        proxy.fault("PUT /session/*", cut_request(50_000), times=1)
        ...                                    # the upload breaks off once; the next one arrives
        proxy.go_down()                        # from here on nobody listens; what was under way is cut
        proxy.come_up()
        assert proxy.requests_to("PUT /session/*")[-1].files == ["flair.nrrd"]
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from tests.slicer_extension.faults import Fault, Recorded
from tests.slicer_extension.passage import Passage, answer_alone, read_head, reset


class FaultyProxy:
    """Listens on a free port of 127.0.0.1 and passes requests on to one server.

    Args:
        upstream: The server's address, ``http://host:port``.

    Attributes:
        requests: Every request whose head arrived, in the order of arrival.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._rules: list[_Rule] = []
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self._port = 0
        self.requests: list[Recorded] = []
        self.come_up()

    @property
    def url(self) -> str:
        """Where clients find the proxy, also after :meth:`go_down` and :meth:`come_up`."""
        return f"http://127.0.0.1:{self._port}"

    def fault(self, pattern: str, fault: Fault, times: int | None = None) -> None:
        """Treat the requests of a pattern with a fault; a later call wins over an earlier one.

        Args:
            pattern: Method and path with ``*`` for anything, for example ``"POST /infer/*"`` or ``"*"``. The query
                is no part of the path.
            fault: What happens to them.
            times: How many requests it hits before it is used up; None for all.
        """
        with self._guard:
            self._rules.insert(0, _Rule(pattern, fault, times))

    def heal(self) -> None:
        """Take all faults away; requests that are under way keep theirs."""
        with self._guard:
            self._rules.clear()

    def go_down(self) -> None:
        """Refuse connections and cut those that are open, as a server that was killed."""
        with self._guard:
            listener, self._listener = self._listener, None
            still_open = list(self._open)
            self._open.clear()
        if listener is not None:
            # Closing alone would leave the accepting thread, and with it the port, waiting for one more client.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for connection in still_open:
            reset(connection)

    def come_up(self) -> None:
        """Listen again, on the same port as before."""
        if self._listener is None:
            listener = socket.create_server(("127.0.0.1", self._port))
            self._port = listener.getsockname()[1]
            self._listener = listener
            self._start(self._accept, listener)

    def requests_to(self, pattern: str) -> list[Recorded]:
        """Return the recorded requests of a pattern (see :meth:`fault`)."""
        return [seen for seen in self.requests if fnmatchcase(seen.name, pattern)]

    def stop(self) -> None:
        """Close everything and wait for all threads."""
        self._over.set()
        self.go_down()
        for thread in self._threads:
            thread.join(10)

    # ------------------------------------------------------------------ one connection

    def _start(self, target, *arguments) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, name="faulty-proxy", daemon=True)
        with self._guard:
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()
        return thread

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._guard:
                if self._listener is not listener:
                    reset(client)
                    return
                self._open.add(client)
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        try:
            with suppress(OSError):
                self._handle(client)
        finally:
            self._close(client)

    def _handle(self, client: socket.socket) -> None:
        head, rest = read_head(client)
        if not head:
            return
        seen = Recorded.of_head(head)
        with self._guard:
            rule = next((rule for rule in self._rules if rule.hits(seen.name)), None)
            seen.fault = rule.use() if rule else Fault()
            self.requests.append(seen)
        if seen.fault.wait:
            self._over.wait(seen.fault.wait)
        if seen.fault.hang_up or client not in self._open:
            return
        if seen.fault.status:
            answer_alone(client, seen, rest)
            return
        self._pass_on(client, seen, head, rest)

    def _pass_on(self, client: socket.socket, seen: Recorded, head: bytes, rest: bytes) -> None:
        server = socket.create_connection(self._upstream, timeout=10)
        server.settimeout(None)
        with self._guard:
            self._open.add(server)
        try:
            Passage(client, server, seen, self._over).run(head, rest, self._start)
        finally:
            self._close(server)

    def _close(self, connection: socket.socket) -> None:
        with self._guard:
            self._open.discard(connection)
        connection.close()


class _Rule:
    """A fault, the requests it hits, and how often it still does."""

    def __init__(self, pattern: str, fault: Fault, times: int | None) -> None:
        self._pattern = pattern
        self._fault = fault
        self._left = times

    def hits(self, name: str) -> bool:
        return self._left != 0 and fnmatchcase(name, self._pattern)

    def use(self) -> Fault:
        if self._left is not None:
            self._left -= 1
        return self._fault


@contextmanager
def proxy_of(upstream: str) -> Iterator[FaultyProxy]:
    """Run a proxy in front of the server at an address."""
    proxy = FaultyProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.stop()


def wait_until(condition, seconds: float = 5.0) -> bool:
    """Return whether a condition comes true in time; what the proxy records lags a moment behind what a client sees."""
    give_up = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return True
