"""The middleware that checks the size and form of a request before any route gets it.

Only routes that take files take large bodies. All other bodies are read here completely, so that what reaches a route
is complete, small, and valid JSON where it claims to be JSON.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from server_app.api.route_table import Load, path_of, route_for
from server_app.common.strict_json import strict_json
from server_app.errors import input_errors, refusal
from server_app.limits.body import Body, too_large
from server_app.limits.concurrency import ConcurrencyLimit
from server_app.limits.names import check_path, check_query
from server_app.settings import Limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: No route of these methods reads a body. With a token, MONAI Label's client announces one that it never sends.
_BODILESS = frozenset({"GET", "HEAD", "DELETE"})
#: Maximum number of pieces of a file that one request may ask for.
MAX_RANGES = 16
_JSON = re.compile(r"application/([^;]+\+)?json\s*(;.*)?", re.IGNORECASE)


class LimitsMiddleware:
    """Passes on requests that are within the limits, and refuses the others.

    Args:
        app: The next app.
        limits: The limits.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._concurrency = ConcurrencyLimit(limits.max_requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":  # there are none
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            load = self._check(scope)
            with self._concurrency.admit(slow=load is not Load.QUICK):
                await self._answer(scope, receive, send, takes_files=load is Load.FILES)
        except HTTPException as error:  # raised here; the app handles its own
            await _refuse(error, scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, *, takes_files: bool) -> None:
        own = self._limits
        most = own.upload_bytes if takes_files else own.body_bytes
        body = Body(receive, most, own.body_seconds, own.slowest_kb * 2**10)
        replies = _Replies(send, body, own.reply_seconds)
        try:
            content = b"" if takes_files or scope["method"] in _BODILESS else await _checked(body, scope)
            next_part = body.receive if takes_files else _replayed(content, receive)
            await self._app(scope, next_part, replies.send)
        except Exception:
            if body.disconnected:
                return  # there is nobody to answer
            if body.refused is None or replies.started:
                raise
        if body.refused is not None and not replies.started:
            raise body.refused

    def _check(self, scope: Scope) -> Load:
        """Check what is known before the body arrives; return what the request costs.

        Raises:
            HTTPException: If the request is refused.
        """
        with input_errors():
            check_path(scope.get("raw_path") or b"", scope["path"])
            check_query(scope.get("query_string", b""))
        headers = Headers(scope=scope)
        _check_headers(headers)
        route = route_for(scope["method"], path_of(scope))
        load = route.load if route is not None else Load.QUICK
        most = self._limits.upload_bytes if load is Load.FILES else self._limits.body_bytes
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:30]) > most:
            raise refusal(413, "body", too_large(most))
        return load


def _check_headers(headers: Headers) -> None:
    """Refuse a body whose length is told in two ways (a proxy may believe the other one), or that is compressed.

    Nothing here unpacks a body, so a compressed one would be refused as something else, or taken for a file's content.

    Raises:
        HTTPException: 400 or 415; 416 for a file in many pieces, which are slow to put together.
    """
    if headers.get("range", "").count(",") >= MAX_RANGES:
        raise refusal(416, "Range", f"A file is sent in at most {MAX_RANGES} pieces.")
    if "content-length" in headers and "transfer-encoding" in headers:
        error = refusal(400, "body", "Content-Length and Transfer-Encoding exclude each other.")
        error.headers = {"Connection": "close"}
        raise error
    codings = ",".join(headers.getlist("content-encoding")).lower()
    if any(coding.strip() not in ("", "identity") for coding in codings.split(",")):
        message = f"A body must not be compressed; Content-Encoding is {codings[:80]!r}. Files may be, as .nii.gz."
        error = refusal(415, "Content-Encoding", message)
        error.headers = {"Accept-Encoding": "identity"}
        raise error


def limits(app: ASGIApp) -> ASGIApp:
    """Make the middleware, with the settings that MONAI Label was started with."""
    return LimitsMiddleware(app, Limits.of_server())


class _Replies:
    """Sends the app's response, unless the body was refused in the meantime, for as long as the client takes it."""

    def __init__(self, send: Send, body: Body, seconds: float) -> None:
        self._send = send
        self._body = body
        self._seconds = seconds
        self.started = False

    async def send(self, message: Message) -> None:
        if self._body.refused is not None and not self.started:
            return
        self.started = True
        await asyncio.wait_for(self._send(message), self._seconds)


async def _checked(body: Body, scope: Scope) -> bytes:
    """Return a small body, completely; refuses one that is too large, too slow, or not the JSON it claims to be."""
    content = b"".join([part.get("body", b"") for part in await body.read_all()])
    if content and _JSON.fullmatch(Headers(scope=scope).get("content-type", "")):
        try:
            strict_json(content)
        except ValueError as error:
            raise refusal(422, "body", f"The body is not JSON: {error}.") from error
    return content


def _replayed(content: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that yields a body that was read before, and then waits for the client to disconnect."""
    parts: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def replay() -> Message:
        return parts.pop() if parts else await receive()

    return replay


async def _refuse(error: HTTPException, scope: Scope, receive: Receive, send: Send) -> None:
    headers = dict(error.headers or {})
    if error.status_code == 408:  # do not wait any longer for a client that is too slow
        headers["Connection"] = "close"
    await JSONResponse({"detail": error.detail}, error.status_code, headers)(scope, receive, send)
