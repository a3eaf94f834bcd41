"""Connections to a server, through the site's http proxy if there is one.

The settings are those that Python knows: ``HTTPS_PROXY`` and ``NO_PROXY``, and without them the system's own on Windows
and macOS. Only https goes through a proxy, in a tunnel in which the proxy sees nothing but the server's name. What is
sent over http stays in the local network, and a server on this machine is never contacted through a proxy.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import ipaddress
import socket
import threading
import urllib.request
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from TumorLoopLib.client.address import Address
from TumorLoopLib.client.errors import Cancelled, ClientError, ServerUnreachable
from TumorLoopLib.client.sockets import PollingSocket, connect
from TumorLoopLib.i18n import _


@dataclass(frozen=True)
class Proxy:
    """An http proxy; ``credentials`` are ``name:password``, empty if it needs none."""

    address: Address
    credentials: str = ""

    def __str__(self) -> str:
        return f"{self.address.host}:{self.address.port}"


def proxy_for(address: Address) -> Proxy | None:
    """Return the proxy that leads to a server; ``None`` if it is contacted directly.

    Raises:
        ServerUnreachable: If the setting does not name an http proxy.
    """
    setting = _setting(address, "https") if address.scheme == "https" else ""
    if not setting:
        return None
    try:
        parts = urlsplit(setting if "://" in setting else f"http://{setting}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if not host or parts.scheme != "http":
        text = _(
            "HTTPS_PROXY, or the system's setting for https, does not name an http proxy such as http://proxy:3128. "
            "If {server} needs no proxy, add {host} to NO_PROXY."
        )
        raise ServerUnreachable(text.format(server=address, host=address.host))
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    return Proxy(Address("http", host, port, ""), credentials)


def open_connection(address: Address, timeout: float, cancel: threading.Event | None) -> socket.socket:
    """Return a socket connected to a server, directly or through a proxy.

    Args:
        address: The server's address.
        timeout: Seconds of each step.
        cancel: Ends the attempt with :class:`Cancelled` if set.

    Raises:
        ServerUnreachable: Unknown name, refused, no route, or the proxy refuses.
        ServerTimeout: No response within ``timeout``.
    """
    proxy = proxy_for(address)
    if proxy is None:
        return _connect_directly(address, timeout, cancel)
    try:
        raw = connect(proxy.address, timeout, cancel)
    except Cancelled:
        raise
    except ClientError as error:
        text = _("{reason} This is the proxy for {server}; if it needs none, add {host} to NO_PROXY.")
        raise ServerUnreachable(text.format(reason=error.message, server=address, host=address.host)) from error
    try:
        _open_tunnel(PollingSocket(raw, cancel, timeout, f"The proxy {proxy}"), address, proxy)
    except BaseException:
        raw.close()
        raise
    return raw


def _connect_directly(address: Address, timeout: float, cancel: threading.Event | None) -> socket.socket:
    try:
        return connect(address, timeout, cancel)
    except ServerUnreachable as error:
        if address.scheme == "https" or not _setting(address, "http"):
            raise
        text = _("{reason} Only https addresses are contacted through the proxy of HTTP_PROXY or HTTPS_PROXY.")
        raise ServerUnreachable(text.format(reason=error.message)) from error


def _setting(address: Address, scheme: str) -> str:
    """Return the proxy set for a scheme, unless the server is to be contacted without one."""
    settings = urllib.request.getproxies()
    setting = settings.get(scheme, "")
    if not setting or address.is_this_machine or _in_networks(address.host, settings.get("no", "")):
        return ""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return "" if urllib.request.proxy_bypass(f"{host}:{address.port}") else setting


def _in_networks(host: str, listed: str) -> bool:
    """Return whether NO_PROXY has a network, such as 10.0.0.0/8, of a numerical address; Python reads only names."""
    with contextlib.suppress(ValueError):
        number = ipaddress.ip_address(host)
        for entry in listed.split(","):
            with contextlib.suppress(ValueError):
                if number in ipaddress.ip_network(entry.strip(), strict=False):
                    return True
    return False


def _open_tunnel(sock: PollingSocket, address: Address, proxy: Proxy) -> None:
    """Ask a proxy for a connection to the server, :rfc:`9110` section 9.3.6."""
    name = f"[{address.host}]" if ":" in address.host else address.host.encode("idna").decode()
    head = f"CONNECT {name}:{address.port} HTTP/1.1\r\nHost: {name}:{address.port}\r\n"
    if proxy.credentials:
        head += f"Proxy-Authorization: Basic {base64.b64encode(proxy.credentials.encode()).decode()}\r\n"
    sock.sendall(f"{head}\r\n".encode())
    response = http.client.HTTPResponse(sock, method="CONNECT")  # type: ignore[arg-type]  # it needs makefile() alone
    try:
        response.begin()
    except http.client.HTTPException as error:
        text = _("{proxy} is not an http proxy. Check HTTPS_PROXY, or add {host} to NO_PROXY.")
        raise ServerUnreachable(text.format(proxy=proxy, host=address.host)) from error
    if response.status == 407:
        text = _("The proxy {proxy} asks for a name and a password: HTTPS_PROXY=http://name:password@{proxy}")
        raise ServerUnreachable(text.format(proxy=proxy))
    if response.status != 200:
        text = _(
            "The proxy {proxy} does not connect to {server} (HTTP {status} {reason}). If the server needs no proxy, "
            "add {host} to NO_PROXY."
        )
        reason = {"status": response.status, "reason": response.reason, "host": address.host}
        raise ServerUnreachable(text.format(proxy=proxy, server=address, **reason))
