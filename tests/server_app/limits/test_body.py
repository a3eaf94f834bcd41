"""A body whose sender hangs up: what has come so far is not taken for all of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server_app.limits.middleware import LimitsMiddleware
from tests.server_app.limits.conftest import SMALL

PART = {"type": "http.request", "body": b"{}", "more_body": True}
LAST = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


class Run:
    """What an app behind the layer hears of a request, and what the client is sent."""

    def __init__(self, path: str, *messages: dict[str, Any]) -> None:
        self.heard: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.calls = 0
        self._messages = list(messages)
        scope = {"type": "http", "method": "PUT", "path": path, "raw_path": path.encode(), "query_string": b""}
        asyncio.run(LimitsMiddleware(self._app, SMALL)({**scope, "headers": []}, self._receive, self._send))

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        while not self.heard or self.heard[-1].get("more_body"):
            self.heard.append(dict(await receive()))
        if self.heard[-1] == GONE:
            raise RuntimeError("The client has hung up.")
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def _receive(self) -> dict[str, Any]:
        return self._messages.pop(0) if self._messages else GONE

    async def _send(self, message: Any) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("came", [(), (PART,), (PART, PART)])
def test_a_route_without_files_is_not_called_for_half_a_body(came: tuple[dict[str, Any], ...]) -> None:
    run = Run("/datastore/label/info", *came, GONE)
    assert (run.calls, run.sent) == (0, [])


@pytest.mark.parametrize("came", [(), (PART,), (PART, PART)])
def test_a_route_with_files_is_told_that_the_client_is_gone(came: tuple[dict[str, Any], ...]) -> None:
    run = Run("/session/", *came, GONE)
    assert run.heard == [*came, GONE]
    assert run.sent == []


@pytest.mark.parametrize("path", ["/datastore/label/info", "/session/"])
def test_a_whole_body_is_answered(path: str) -> None:
    run = Run(path, PART, LAST)
    assert b"".join(part["body"] for part in run.heard) == b"{}"
    assert run.sent[0]["status"] == 200
