"""A real HTTP server on a real socket that answers as a test tells it to, well or badly."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BOUNDARY = "b0undary"
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request; ``server.answer`` decides what happens to it."""

    server: HttpServer

    def handle_any(self) -> None:
        self.server.answer(self)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def record(self) -> None:
        """Read the request to its end and record it, if it has one."""
        body = self.body()
        if len(body) == int(self.headers.get("Content-Length", 0)):
            self.server.requests.append(Received(self.command, self.path, self.headers, body))

    def reply(self, status: int, content: bytes, content_type: str, length: int | None = None, **headers: str) -> None:
        """Send ``content``; a ``length`` other than its own makes an answer that breaks off."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)


@dataclass
class Received:
    """A request that arrived whole."""

    method: str
    path: str
    headers: Message
    body: bytes


class HttpServer(ThreadingHTTPServer):
    """A threaded server on a free loopback port."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.start(answer)

    def start(self, answer: Answer) -> None:
        """Begin anew with another answer."""
        self.answer = answer
        self.requests: list[Received] = []
        #: Set when a request arrived that :func:`wait_forever` does not answer.
        self.busy = threading.Event()
        #: Set when the test is over, so that waiting answers end.
        self.over = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what these tests are about."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def http_server(answer: Answer) -> Iterator[HttpServer]:
    """Run a server that treats every request with ``answer``."""
    server = HttpServer(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="http-server")
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def wait_forever(handler: Handler) -> None:
    """Leave a request unread and unanswered."""
    handler.server.busy.set()
    handler.server.over.wait(30)


def json_answer(content: Any, status: int = 200) -> Answer:
    """Answer every request with ``content``."""
    return file_answer(json.dumps(content).encode(), "application/json", status)


def refusal(status: int, field: str, message: str) -> Answer:
    """Answer as the TumorLoop server does when it rejects a request."""
    return json_answer({"detail": {"field": field, "message": message}}, status)


def file_answer(
    content: bytes, content_type: str, status: int = 200, length: int | None = None, **headers: str
) -> Answer:
    """Answer every request with a file or a page."""

    def answer(handler: Handler) -> None:
        handler.record()
        handler.reply(status, content, content_type, length, **headers)

    return answer


def result_body(image: bytes, params: Any, filename: str = "../../etc/evil.nii.gz") -> bytes:
    """An inference reply as MONAI Label sends it."""
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="params"\r\nContent-Type: application/json\r\n\r\n'
        f"{json.dumps(params)}\r\n"
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + (image + f"\r\n--{BOUNDARY}--\r\n".encode())


def result_answer(body: bytes, length: int | None = None) -> Answer:
    """Answer with an inference reply, or with the beginning of one."""
    return file_answer(body, f"multipart/form-data; boundary={BOUNDARY}", length=length)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
