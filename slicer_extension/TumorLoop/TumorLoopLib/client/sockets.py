"""Sockets that can be cancelled while they wait, on every platform.

The calling thread wakes up five times a second to check the cancel event and the clock; no thread is started, and no
socket is closed while a call uses it. Only the operating system's name lookup cannot be interrupted.
"""

from __future__ import annotations

import errno
import io
import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from TumorLoopLib.client.address import Address
from TumorLoopLib.client.errors import Cancelled, ClientError, ConnectionLost, ServerTimeout, ServerUnreachable
from TumorLoopLib.i18n import _

#: Bytes per read and write.
CHUNK = 1 << 16
#: Seconds between two checks of the cancel event.
POLL_INTERVAL = 0.2


class PollingSocket:
    """A connected socket that waits in short intervals and checks a cancel event between them.

    It has the methods that :class:`http.client.HTTPConnection` needs. Network errors are raised as
    :class:`ClientError` here, so that they cannot be confused with errors of local files.

    Attributes:
        timeout: Longest silence in seconds.
    """

    def __init__(self, sock: socket.socket, cancel: threading.Event | None, timeout: float, name: str) -> None:
        sock.settimeout(POLL_INTERVAL)
        self._socket = sock
        self._cancel = cancel
        self._name = name
        self.timeout = timeout

    def sendall(self, data: bytes) -> None:
        """Send all of ``data``."""
        view = memoryview(data).cast("B")
        while len(view):
            view = view[self._wait(lambda view=view: self._socket.send(view), _("sending to it")) :]  # type: ignore[misc]

    def recv_into(self, buffer: Any) -> int:
        """Receive at least one byte into ``buffer``; 0 at the end of the stream."""
        return self._wait(lambda: self._socket.recv_into(buffer), _("waiting for it"))

    def handshake(self) -> None:
        """Finish the TLS handshake of a wrapped socket; ``SSLCertVerificationError`` if its certificate is refused."""
        self._wait(lambda: self._socket.do_handshake() or 0, _("connecting to it"))  # type: ignore[attr-defined]

    def makefile(self, *_args: Any, **_kwargs: Any) -> io.BufferedReader:
        """Return a readable file, for :class:`http.client.HTTPResponse`."""
        return io.BufferedReader(_Reader(self), CHUNK)

    def close(self) -> None:
        """Do nothing: http.client closes before the answer is read; ``Transport.exchange`` closes."""

    def _wait(self, step: Callable[[], int], doing: str) -> int:
        deadline = time.monotonic() + self.timeout
        while True:
            _raise_if_cancelled(self._cancel)
            try:
                return step()
            except socket.timeout:
                if time.monotonic() > deadline:
                    raise ServerTimeout(
                        _(
                            "{server} did not respond for {seconds:.0f} seconds ({doing}). "
                            "It may be busy or the network slow; try again."
                        ).format(server=self._name, seconds=self.timeout, doing=doing)
                    ) from None
            except ssl.SSLCertVerificationError:
                raise
            except ssl.SSLError as error:
                raise ConnectionLost(
                    _("No secure connection to {server} ({reason}). Does the server speak https there?").format(
                        server=self._name, reason=(error.reason or _reason(error)).replace("_", " ").lower()
                    )
                ) from error
            except OSError as error:
                raise ConnectionLost(
                    _("The connection to {server} broke while {doing} ({reason}).").format(
                        server=self._name, doing=doing, reason=_reason(error)
                    )
                ) from error


class _Reader(io.RawIOBase):
    def __init__(self, sock: PollingSocket) -> None:
        self._socket = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._socket.recv_into(buffer)


def connect(address: Address, timeout: float, cancel: threading.Event | None) -> socket.socket:
    """Return a socket connected to the first of the host's addresses that accepts.

    Args:
        address: The server's address.
        timeout: Seconds, for all addresses together.
        cancel: Ends the attempt with :class:`Cancelled` if set.

    Raises:
        ServerUnreachable: Unknown name, refused, no route.
        ServerTimeout: No response within ``timeout``.
    """
    _raise_if_cancelled(cancel)
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        text = _("No computer named {name} was found. Check the address.")
        raise ServerUnreachable(text.format(name=address.host)) from error
    deadline = time.monotonic() + timeout
    problem: ClientError = ServerUnreachable(_("{name} has no network address.").format(name=address.host))
    for family, kind, protocol, _name, target in found:
        sock = socket.socket(family, kind, protocol)
        try:
            _connect_before(sock, target, deadline, cancel)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except TimeoutError:
            problem = ServerTimeout(
                _(
                    "{server} did not accept a connection within {seconds:.0f} seconds. "
                    "Check the address, the network and the firewall."
                ).format(server=address, seconds=timeout)
            )
        except OSError as error:
            problem = ServerUnreachable(
                _("No server answers at {server} ({reason}). Is it running, and is the address right?").format(
                    server=address, reason=_reason(error)
                )
            )
        except Cancelled:
            sock.close()
            raise
        sock.close()
    raise problem


def _connect_before(sock: socket.socket, target: Any, deadline: float, cancel: threading.Event | None) -> None:
    sock.setblocking(False)
    code = sock.connect_ex(target)
    if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)):
        raise OSError(code, os.strerror(code))
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        while not selector.select(POLL_INTERVAL):
            _raise_if_cancelled(cancel)
            if time.monotonic() > deadline:
                raise TimeoutError
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _raise_if_cancelled(cancel: threading.Event | None) -> None:
    if cancel is not None and cancel.is_set():
        raise Cancelled()


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
