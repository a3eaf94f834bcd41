"""Test connection, step by step: name, TCP, HTTP, token, version, model.

The first step that fails ends the test, so that what needs fixing is the last line the clinician reads. Runs on a
worker thread; :mod:`TumorLoopLib.panel.messages` words the steps.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from TumorLoopLib.client.address import Address, Timeouts
from TumorLoopLib.client.client import DEFAULT_MODEL, TumorLoopClient
from TumorLoopLib.client.errors import ClientError, NotAuthorized, ServerTimeout, ServerUnreachable
from TumorLoopLib.client.proxies import open_connection, proxy_for
from TumorLoopLib.i18n import _

#: The steps, in order.
NAME, TCP, HTTP, TOKEN, VERSION, MODEL = STEPS = ("name", "tcp", "http", "token", "version", "model")
#: The oldest server version (major, minor) that works with this panel; see :func:`is_compatible`.
OLDEST_VERSION = (0, 1)


@dataclass(frozen=True)
class Step:
    """One step of the test.

    Attributes:
        step: One of :data:`STEPS`.
        ok: Whether it succeeded.
        detail: What was found or what failed: an address, a version, the error's message.
        answered: Whether a server of some kind answered; otherwise the message says it all.
    """

    step: str
    ok: bool
    detail: str = ""
    answered: bool = True


def diagnose(address: str, token: str, cancel: threading.Event | None = None, *, ca_file: str = "") -> Iterator[Step]:
    """Test the connection to a server.

    Args:
        address: As the clinician typed it.
        token: Access token; empty for none.
        cancel: Ends the test with :class:`~TumorLoopLib.client.errors.Cancelled`.
        ca_file: See :class:`TumorLoopClient`.

    Yields:
        Each step when it is done; the last one is the first that failed, or the last of all.
    """
    timeouts = Timeouts(answer=10.0)
    try:
        where = Address.parse(address)
        proxy = proxy_for(where)
        host, port = (proxy.address.host, proxy.address.port) if proxy else (where.host, where.port)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        yield Step(NAME, False, _("The proxy {proxy} was not found.").format(proxy=proxy) if proxy else host)
        return
    except ClientError as error:
        yield Step(NAME, False, error.message)
        return
    detail = str(found[0][4][0])
    yield Step(NAME, True, _("{address}, the proxy {proxy}").format(address=detail, proxy=proxy) if proxy else detail)
    try:
        open_connection(where, timeouts.connect, cancel).close()
    except ClientError as error:
        _raise_if_set(cancel, error)
        yield Step(TCP, False, error.message)
        return
    yield Step(TCP, True, str(where.port))
    yield from _test_server(address, token, timeouts, ca_file)


def _test_server(address: str, token: str, timeouts: Timeouts, ca_file: str) -> Iterator[Step]:
    try:
        info = TumorLoopClient(address, token or None, timeouts=timeouts, ca_file=ca_file).info()
    except NotAuthorized as error:
        yield Step(HTTP, True)
        yield Step(TOKEN, False, error.message)
        return
    except ClientError as error:
        yield Step(HTTP, False, error.message, answered=not isinstance(error, (ServerUnreachable, ServerTimeout)))
        return
    yield Step(HTTP, True)
    yield Step(TOKEN, True, _owner(info) if token else "")
    name, version = str(info.get("name") or "?"), str(info.get("version") or "?")
    if not info.get("label_details") or DEFAULT_MODEL not in (info.get("models") or {}):
        yield Step(VERSION, False, name)
        return
    if not is_compatible(version):
        yield Step(VERSION, False, f"{name} {version}")
        return
    yield Step(VERSION, True, f"{name} {version}")
    model = str(info.get("model_version") or "")
    yield Step(MODEL, bool(model), model)


def is_compatible(version: str) -> bool:
    """Return whether a server's version works with this panel: the same major version, and not older.

    Examples:
        >>> is_compatible("0.1.0"), is_compatible("0.3.2"), is_compatible("1.0"), is_compatible("odd")
        (True, True, False, False)
    """
    try:
        major, minor = (int(number) for number in version.split(".")[:2])
    except ValueError:
        return False
    return major == OLDEST_VERSION[0] and minor >= OLDEST_VERSION[1]


def _owner(info: Mapping[str, Any]) -> str:
    """Return the user and role of the token according to the server; "-" if it does not say."""
    access = info.get("access")
    if not isinstance(access, dict) or not access.get("user"):
        return "-"
    return f"{access['user']} ({access.get('role')})"


def _raise_if_set(cancel: threading.Event | None, error: ClientError) -> None:
    if cancel is not None and cancel.is_set():
        raise error
