"""A real HTTP server on a real socket that answers as a test tells it to, well or badly."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

BOUNDARY = "b0undary"
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request; ``server.answer`` decides what happens to it."""

    server: HttpServer

    def do_GET(self) -> None:
        self.server.answer(self)

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def record(self) -> None:
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


class Received(NamedTuple):
    """A request that arrived whole."""

    method: str
    path: str
    headers: Message
    body: bytes


class HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.start(answer)

    def start(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[Received] = []
        #: Set when a request arrived that is not answered; and when the test is over, so that waiting answers end.
        self.busy, self.over = threading.Event(), threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what these tests are about."""


@contextmanager
def http_server(answer: Answer) -> Iterator[HttpServer]:
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
    return file_answer(json.dumps(content).encode(), "application/json", status)


def refusal(status: int, field: str, message: str) -> Answer:
    return json_answer({"detail": {"field": field, "message": message}}, status)


def file_answer(
    content: bytes, content_type: str, status: int = 200, length: int | None = None, **headers: str
) -> Answer:
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
    return file_answer(body, f"multipart/form-data; boundary={BOUNDARY}", length=length)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []
