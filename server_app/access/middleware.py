"""The middleware for authentication, authorization and the audit log.

It is in front of all routes, including those of MONAI Label's that were left as they are, so nothing depends on a
route's own checks. It has threads of its own: a cancellation must not wait in the routes' pool behind what it cancels.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import HTTPException
from starlette.responses import JSONResponse

from server_app.access.audit import AuditLog
from server_app.access.authentication import Authenticator
from server_app.api.route_table import AuditLevel, Route, methods_of, path_of, route_for
from server_app.common import identity, request_id
from server_app.common.identity import ANONYMOUS, Identity, insufficient_role
from server_app.common.request_notes import begin_notes
from server_app.disk import DISK_FULL, is_disk_full
from server_app.errors import refusal, unknown

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


class AccessMiddleware:
    """Passes a request on, or refuses it.

    Args:
        app: The next app.
        authenticator: Finds out who sends a request.
        log: The audit log.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator, log: AuditLog) -> None:
        self._app = app
        self._authenticator = authenticator
        self._log = log
        self._threads = CapacityLimiter(8)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the server's startup and shutdown pass through."""
        if scope["type"] == "lifespan" or _is_preflight(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:  # a web socket: there are none
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        entry: dict[str, Any] = {}
        try:
            route = await self._admit(scope, entry)
            if route.audit is AuditLevel.CHANGE:
                await self._begin(entry)
        except HTTPException as error:
            await self._refuse(error, entry, scope, receive, send)
            return
        outcome = _Outcome(self, route, entry, begin_notes(), send)
        try:
            await self._app(scope, receive, outcome.send)
        finally:
            await outcome.finish()

    async def _admit(self, scope: Scope, entry: dict[str, Any]) -> Route:
        """Return the route of a request that is allowed; fill in its entry in the audit log.

        Raises:
            HTTPException: 401, 403, 404 or 405 if the request is not allowed.
        """
        path, method = path_of(scope), scope["method"]
        route = route_for(method, path)
        entry.update(request=request_id.current(), user="", role="", method=method, route=route.path if route else "")
        who = ANONYMOUS
        if route is None or route.role is not None:
            who = await self._identify(scope)
        entry.update(user=who.name, role=who.role.title if who.name else "")
        identity.set_current(who)
        scope.setdefault("state", {})["user"] = who.name  # for the middleware outside of this one
        if route is None:
            raise _no_route(path)
        if route.role is not None and who.role < route.role:
            raise refusal(403, "role", insufficient_role(who, route.role))
        return route

    async def _identify(self, scope: Scope) -> Identity:
        if self._authenticator.oidc is None:  # one stat call and one hash
            return self._authenticator.identify(scope)
        return await run_sync(self._authenticator.identify, scope, limiter=self._threads)

    async def _begin(self, entry: dict[str, Any]) -> None:
        try:
            await self._append({**entry, "event": "begin"}, durable=True)
        except OSError as error:
            logger.error("The audit log cannot be written: %s", error.strerror)
            message = "The audit log cannot be written, so nothing was done. Tell the server's administrator."
            raise refusal(507, "disk", DISK_FULL if is_disk_full(error) else message) from error

    async def _refuse(
        self, error: HTTPException, entry: dict[str, Any], scope: Scope, receive: Receive, send: Send
    ) -> None:
        await self.end({**entry, "event": "refused", "status": error.status_code}, durable=False)
        headers = {"WWW-Authenticate": "Bearer"} if error.status_code == 401 else dict(error.headers or {})
        await JSONResponse({"detail": error.detail}, error.status_code, headers)(scope, receive, send)

    async def end(self, entry: dict[str, Any], *, durable: bool) -> None:
        """Write how a request ended; if that fails, what was done cannot be undone any more."""
        try:
            await self._append(entry, durable=durable)
        except OSError as error:
            logger.error("The audit log lacks the end of request %s: %s", entry.get("request"), error.strerror)

    async def _append(self, entry: dict[str, Any], *, durable: bool) -> None:
        unknown_sender = entry["event"] == "refused" and not entry.get("user")
        write = self._log.append_refusal if unknown_sender else partial(self._log.append, durable=durable)
        await run_sync(write, entry, limiter=self._threads)


@dataclass
class _Outcome:
    """Logs how a request ended, with its entry and the notes of the code behind it, before its response begins."""

    middleware: AccessMiddleware
    route: Route
    entry: dict[str, Any]
    notes: dict[str, Any]
    next_send: Send
    written: bool = False

    async def send(self, message: Message) -> None:
        """Pass on a part of the response."""
        if message["type"] == "http.response.start":
            await self._write(message["status"])
        await self.next_send(message)

    async def finish(self) -> None:
        """Log a change that got no response, for example because the client disconnected while sending its files."""
        if self.route.audit is AuditLevel.CHANGE and not self.written:
            await self._write(None)

    async def _write(self, status: int | None) -> None:
        self.written = True
        stored = self.route.audit is AuditLevel.CHANGE or "label_version" in self.notes
        if stored or self.route.audit is AuditLevel.READ or status in (401, 403):
            event = "refused" if status in (401, 403) else "end"
            entry = {**self.entry, "event": event, "status": status, **_facts(self.notes)}
            await self.middleware.end(entry, durable=stored)


def _facts(notes: dict[str, Any]) -> dict[str, Any]:
    """Return the notes in the form of the log: one case as its id, several as a list."""
    cases = notes.get("cases", [])
    rest = {name: value for name, value in notes.items() if name != "cases"}
    return {**({"case": cases[0]} if len(cases) == 1 else {"cases": cases} if cases else {}), **rest}


def _no_route(path: str) -> HTTPException:
    methods = methods_of(path)
    if not methods:
        return unknown("path", "There is nothing at this address, or this server does not offer it.")
    error = refusal(405, "method", f"Only {', '.join(methods)} {'is' if len(methods) == 1 else 'are'} allowed here.")
    error.headers = {"Allow": ", ".join(methods)}
    return error


def _is_preflight(scope: Scope) -> bool:
    """Return whether it is a browser's CORS preflight request, which MONAI Label's CORS middleware answers."""
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    names = {name.lower() for name, _ in scope["headers"]}
    return {b"origin", b"access-control-request-method"} <= names
