"""What the fault-injecting proxy can do to a request, and what it remembers of one."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """What happens to a request; the plain ``Fault()`` passes it on untouched.

    Attributes:
        wait: Seconds before anything is passed on or answered.
        hang_up: Close the connection after that, without an answer.
        status: Answer with this HTTP status instead of asking the server; 0 to ask it.
        body: The body of that answer.
        content_type: Its type.
        request_limit: Cut the connection after this many bytes of the request's body.
        response_limit: Cut it after this many bytes of the answer's body.
        bytes_per_second: The speed of both directions; None for as fast as it goes.
    """

    wait: float = 0.0
    hang_up: bool = False
    status: int = 0
    body: bytes = b""
    content_type: str = ""
    request_limit: int | None = None
    response_limit: int | None = None
    bytes_per_second: float | None = None

    def answer(self) -> bytes:
        """Return the whole answer that the fault makes up."""
        head = (
            f"HTTP/1.1 {self.status} Made Up\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + self.body


def silent(seconds: float) -> Fault:
    """Accept, say nothing for so many seconds, then hang up."""
    return Fault(wait=seconds, hang_up=True)


def delay(seconds: float) -> Fault:
    """Pass everything on, but so many seconds late."""
    return Fault(wait=seconds)


def cut_request(after: int) -> Fault:
    """Break the connection in the middle of an upload, after so many bytes of its body."""
    return Fault(request_limit=after)


def cut_response(after: int) -> Fault:
    """Break the connection in the middle of a result, after so many bytes of its body."""
    return Fault(response_limit=after)


def trickle(bytes_per_second: float) -> Fault:
    """Pass everything on over a slow line."""
    return Fault(bytes_per_second=bytes_per_second)


def answer_json(status: int, content: Any) -> Fault:
    """Answer in the server's place, in JSON."""
    return Fault(status=status, body=json.dumps(content).encode(), content_type="application/json")


def answer_html(status: int, page: str) -> Fault:
    """Answer in the server's place with a web page, as proxies and crashed web servers do."""
    return Fault(status=status, body=page.encode(), content_type="text/html; charset=utf-8")


def wrong_token() -> Fault:
    """Answer as a server that wants another token."""
    return answer_json(401, {"detail": "Invalid token"})


def broken_server() -> Fault:
    """Answer as a web server whose application crashed: HTTP 500 with a page."""
    page = "<html><head><title>500</title></head><body><h1>Internal Server Error</h1></body></html>"
    return answer_html(500, page)


def full_disk() -> Fault:
    """Answer as the TumorLoop server whose disk is full: HTTP 507."""
    message = "The server's disk is full. Nothing was stored; free some space on it and try again."
    return answer_json(507, {"detail": {"field": "disk", "message": message}})


@dataclass
class Recorded:
    """A request that the proxy saw.

    Attributes:
        method: For example ``PUT``.
        path: Without the query.
        query: Without the question mark.
        headers: Names in lower case.
        body: As much of it as arrived.
        status: The answer's HTTP status; 0 as long as there is none.
        answered: Bytes of the answer's body that went to the client.
        cancelled: Whether the client hung up before it had its answer.
        finished: Whether the answer went through to its end.
        broke_off: Whether the connection ended before the request or its answer was complete.
        fault: What the proxy did to it.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)
    status: int = 0
    answered: int = 0
    cancelled: bool = False
    finished: bool = False
    broke_off: bool = False
    fault: Fault = field(default_factory=Fault)

    @classmethod
    def of_head(cls, head: bytes) -> Recorded:
        """Read the head of a request, its empty line included."""
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        method, target = first.split(" ")[:2]
        path, _, query = target.partition("?")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(method, path, query, headers)

    @property
    def name(self) -> str:
        """Method and path, as patterns are written."""
        return f"{self.method} {self.path}"

    @property
    def size(self) -> int:
        """Bytes of the body that arrived."""
        return len(self.body)

    @property
    def announced(self) -> int:
        """Bytes of the body that the client wanted to send."""
        return int(self.headers.get("content-length", 0))

    @property
    def files(self) -> list[str]:
        """Names of the files in the form that was sent, for example ``["t1.nrrd", "flair.nrrd"]``."""
        return [name.decode() for name in re.findall(rb'[;\s]filename="([^"]*)"', bytes(self.body))]
