"""A small app behind the layer, on a real socket, with limits that a test can reach."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from server_app.limits.connections import uvicorn_options
from server_app.limits.middleware import LimitsMiddleware
from server_app.settings import Limits
from tests.server_app.conftest import free_port

SMALL = Limits(
    max_upload_mb=1, max_body_kb=8, max_requests=3, max_connections=20, max_connections_per_client=12,
    header_seconds=1, body_seconds=1, slowest_kb=64, reply_seconds=2,
)  # fmt: skip


@dataclass(frozen=True)
class Small:
    """A running server of the small app: the requests that reached a route, and a gate for the routes that wait."""

    port: int
    seen: list[str]
    gate: threading.Event
    open_by_client: Counter[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connections(self) -> int:
        return self.open_by_client.total()

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), 10)
        connection.settimeout(10)
        return connection

    def ask(self, head: str, body: bytes = b"") -> bytes:
        """Send a request byte for byte; return all of the answer."""
        with self.connect() as connection:
            connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
            return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side hangs up."""
    content = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(1 << 16):
            content += part
    return content


def _app(seen: list[str], gate: threading.Event) -> FastAPI:
    app = FastAPI()

    @app.get("/wait")
    def wait() -> str:
        gate.wait(20)
        return "waited"

    @app.post("/samples")
    def sample() -> str:
        seen.append("a sample begins")
        gate.wait(20)
        return "made"

    @app.get("/much")
    def much() -> Response:
        return Response(bytes(64 * 2**20))

    @app.get("/bit_by_bit")
    def bit_by_bit() -> StreamingResponse:
        return StreamingResponse(bytes(2**16) for _ in range(2**10))

    @app.api_route("/{path:path}", methods=["GET", "PUT", "POST", "DELETE"])
    async def echo(request: Request, path: str) -> Response:
        body = await request.body()
        seen.append(f"{request.method} /{path} {len(body)}")
        return Response(body, media_type="application/octet-stream")

    return app


@contextmanager
def _running(limits: Limits) -> Iterator[Small]:
    seen: list[str] = []
    gate, port, options = threading.Event(), free_port(), uvicorn_options(limits)
    app = LimitsMiddleware(_app(seen, gate), limits)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", lifespan="off", **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Small(port, seen, gate, options["http"].open_by_client)
    finally:
        gate.set()
        server.should_exit = server.force_exit = True
        thread.join(10)


@pytest.fixture
def serve() -> Iterator[Callable[..., Small]]:
    """Start a server of the small app, with other limits if need be."""
    with ExitStack() as stack:
        yield lambda **other: stack.enter_context(_running(SMALL.model_copy(update=other)))


@pytest.fixture(scope="session")
def small() -> Iterator[Small]:
    """One server of the small app for all tests that leave it as it was."""
    with _running(SMALL) as running:
        yield running
