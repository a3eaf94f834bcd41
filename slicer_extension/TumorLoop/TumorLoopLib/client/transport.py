"""One HTTP request at a time, each over a connection of its own.

Built on :mod:`http.client` rather than ``requests``: a ``requests`` call that waits for an answer can only be
interrupted by closing its socket from another thread, which differs between platforms. No connection outlives its
request, and two threads may use one client.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from TumorLoopLib.client.address import Address, Timeouts
from TumorLoopLib.client.certificates import tls_context, untrusted
from TumorLoopLib.client.errors import BadReply, Cancelled, ClientError, ConnectionLost, ServerUnreachable
from TumorLoopLib.client.proxies import open_connection
from TumorLoopLib.client.sockets import CHUNK, PollingSocket
from TumorLoopLib.i18n import _

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Body:
    """A request body; ``chunks`` must yield exactly ``length`` bytes."""

    content_type: str
    length: int
    chunks: Callable[[], Iterable[bytes]]


@dataclass(frozen=True)
class Request:
    """One request; ``timeout`` is how long its answer may take to begin, in seconds."""

    method: str
    target: str
    body: Body | None = None
    headers: dict[str, str] = field(default_factory=dict)
    timeout: float = 30.0


class Transport:
    """Sends requests to one server.

    Args:
        address: Where the server is.
        timeouts: Longest silence of each step.
        ca_file: Certificates that https trusts beside the system's; see :mod:`TumorLoopLib.client.certificates`.
    """

    def __init__(self, address: Address, timeouts: Timeouts, ca_file: str = "") -> None:
        self.address = address
        self.timeouts = timeouts
        self._ca_file = ca_file

    @contextmanager
    def exchange(
        self, request: Request, *, cancel: threading.Event | None = None, progress: Progress | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Send ``request`` and yield the response, its body unread; the connection is closed on leaving.

        Args:
            request: What to send.
            cancel: If set, the exchange ends with :class:`Cancelled` within a quarter of a second.
            progress: Called with the bytes of the body sent so far and in total.
        """
        tls = tls_context(self._ca_file) if self.address.scheme == "https" else None
        raw = open_connection(self.address, self.timeouts.connect, cancel)
        try:
            sock = PollingSocket(raw, cancel, self.timeouts.connect, str(self.address))
            if tls is not None:
                raw = tls.wrap_socket(raw, server_hostname=self.address.host, do_handshake_on_connect=False)
                sock = PollingSocket(raw, cancel, self.timeouts.connect, str(self.address))
                self._shake_hands(sock)
            connection = http.client.HTTPConnection(self.address.host, self.address.port)
            connection.sock = sock
            sock.timeout = self.timeouts.transfer
            response = self._perform(connection, sock, request, progress)
            sock.timeout = self.timeouts.transfer
            yield response
        finally:
            raw.close()

    def _shake_hands(self, sock: PollingSocket) -> None:
        try:
            sock.handshake()
        except ssl.SSLCertVerificationError as error:
            raise ServerUnreachable(untrusted(str(self.address), error, self._ca_file)) from error

    def _perform(
        self,
        connection: http.client.HTTPConnection,
        sock: PollingSocket,
        request: Request,
        progress: Progress | None,
    ) -> http.client.HTTPResponse:
        try:
            self._send(connection, request, progress)
        except ConnectionLost:
            # A server that rejects a request early answers, then closes the connection while we are still sending.
            sock.timeout = 1.0
            try:
                response = connection.getresponse()
            except Cancelled:
                raise
            except (http.client.HTTPException, ClientError):
                response = None
            if response is None or response.status < 400:
                raise
            return response
        sock.timeout = request.timeout
        try:
            return connection.getresponse()
        except http.client.RemoteDisconnected as error:
            text = _("{server} closed the connection without an answer.")
            raise ConnectionLost(text.format(server=self.address)) from error
        except http.client.HTTPException as error:
            text = _("Something answers at {server}, but it is not a web server. Is the address right?")
            raise BadReply(text.format(server=self.address)) from error

    def _send(self, connection: http.client.HTTPConnection, request: Request, progress: Progress | None) -> None:
        connection.putrequest(request.method, self.address.path + request.target)
        for name, value in {"Connection": "close", "Accept": "*/*", **request.headers}.items():
            connection.putheader(name, value)
        body = request.body
        if body is not None:
            connection.putheader("Content-Type", body.content_type)
        if body is not None or request.method in ("POST", "PUT"):
            connection.putheader("Content-Length", str(body.length if body else 0))
        connection.endheaders()
        if body is None:
            return
        sent = 0
        for chunk in body.chunks():
            connection.send(chunk)
            sent += len(chunk)
            if progress:
                progress(sent, body.length)


def read_body(
    response: http.client.HTTPResponse, write: Callable[[bytes], Any], progress: Progress | None = None
) -> int:
    """Read a response's body to its end and check that all of it arrived.

    Args:
        response: A response whose body is unread.
        write: Called with each chunk.
        progress: Called with the bytes received so far and in total (0 if the server does not say).

    Returns:
        The number of bytes.

    Raises:
        ConnectionLost: If the body ended before its announced length.
    """
    total = response.length or 0
    received = 0
    try:
        while True:
            chunk = response.read(CHUNK)
            if not chunk:
                break
            received += len(chunk)
            write(chunk)
            if progress:
                progress(received, total)
    except http.client.IncompleteRead as error:
        raise ConnectionLost(_("The server's answer broke off before its end.")) from error
    except http.client.HTTPException as error:
        raise BadReply(_("The server's answer is garbled.")) from error
    if total and received < total:
        text = _("The server's answer broke off after {received} of {total} bytes.")
        raise ConnectionLost(text.format(received=received, total=total))
    return received
