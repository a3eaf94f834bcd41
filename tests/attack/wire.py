"""Requests as an attacker sends them: no library tidies the address or waits forever."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests


@dataclass(frozen=True)
class Reply:
    """What came back, after how many seconds."""

    #: Of HTTP; 0 if the connection was closed without an answer, -1 if nothing came in time.
    status: int
    body: bytes = b""
    seconds: float = 0.0


CLOSED, SILENT = 0, -1


def send(
    port: int, method: str, address: str, *, files: Any = None, data: Mapping[str, str] | None = None,
    body: bytes | None = None, headers: Mapping[str, str] | None = None, timeout: float = 20.0,
) -> Reply:  # fmt: skip
    """Send a request to this machine: path and query byte for byte, with a form, or a body instead of one."""
    form = requests.Request(method, "http://127.0.0.1/", files=files, data=data).prepare()
    content = body if body is not None else form.body
    content = content.encode() if isinstance(content, str) else content
    more = {"Content-Type": form.headers["Content-Type"]} if form.headers.get("Content-Type") and body is None else {}
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, address, content, {**more, "Connection": "close", **(headers or {})})
        answer = connection.getresponse()
        return Reply(answer.status, answer.read(), time.monotonic() - started)
    except TimeoutError:
        return Reply(SILENT, b"", time.monotonic() - started)
    except (OSError, http.client.HTTPException):
        return Reply(CLOSED, b"", time.monotonic() - started)
    finally:
        connection.close()


def send_raw(port: int, parts: list[bytes], *, pause: float = 0.0, timeout: float = 20.0) -> Reply:
    """Send bytes, with a pause between the parts, and return what came back; for what is no proper request."""
    started, answer = time.monotonic(), b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as connection:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
                if time.monotonic() - started > timeout:
                    return Reply(SILENT, b"", time.monotonic() - started)
            connection.settimeout(max(0.1, timeout - (time.monotonic() - started)))
            while block := connection.recv(1 << 16):
                answer += block
    except TimeoutError:
        return Reply(SILENT, answer, time.monotonic() - started)
    except OSError:
        pass
    first = answer.split(b" ", 2)
    status = int(first[1]) if len(first) > 1 and first[0].startswith(b"HTTP/") and first[1].isdigit() else CLOSED
    return Reply(status, answer, time.monotonic() - started)
