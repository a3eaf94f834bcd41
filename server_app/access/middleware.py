"""The layer that every request passes: who is it, may they, and what becomes of it.

It stands between the server and all routes, MONAI Label's own untouched ones, too, so that nothing depends on a route's
own checks. Its threads are its own: a cancellation, say, must not queue in the routes' pool behind what it cancels.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import HTTPException
from starlette.responses import JSONResponse

from server_app.access.audit import AuditLog
from server_app.access.authentication import Authenticator
from server_app.access.rules import Rule, Trace, methods_of, rule_for
from server_app.common import identity, request_id
from server_app.common.identity import ANONYMOUS, Identity, insufficient_role
from server_app.common.request_notes import begin_notes
from server_app.disk import is_disk_full
from server_app.errors import refusal, unknown

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)


class AccessMiddleware:
    """Lets a request pass, or answers it itself.

    Args:
        app: What is behind the layer.
        gate: Tells who sends a request.
        log: Where it is written down.
    """

    def __init__(self, app: ASGIApp, gate: Authenticator, log: AuditLog) -> None:
        self._app = app
        self._gate = gate
        self._log = log
        self._threads = CapacityLimiter(8)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the server's start and end pass through."""
        if scope["type"] == "lifespan" or _is_preflight(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:  # a web socket: there are none
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        entry: dict[str, Any] = {}
        try:
            rule = await self._admit(scope, entry)
            if rule.trace is Trace.CHANGE:
                await self._begin(entry)
        except HTTPException as error:
            await self._refuse(error, entry, scope, receive, send)
            return
        end = _End(self, rule, entry, begin_notes(), send)
        try:
            await self._app(scope, receive, end.send)
        finally:
            await end.broken_off()

    async def _admit(self, scope: Scope, entry: dict[str, Any]) -> Rule:
        """Return the rule that lets a request pass; fill in what the audit log says of it.

        Raises:
            HTTPException: 401, 403, 404 or 405 if none does.
        """
        path, method = _path_of(scope), scope["method"]
        rule = rule_for(method, path)
        entry.update(request=request_id.current(), user="", role="", method=method, route=rule.path if rule else "")
        who = ANONYMOUS
        if rule is None or rule.role is not None:
            who = await self._identify(scope)
        entry.update(user=who.name, role=who.role.title if who.name else "")
        _introduce(scope, who)
        if rule is None:
            raise _no_rule(path)
        if rule.role is not None and who.role < rule.role:
            raise refusal(403, "role", insufficient_role(who, rule.role))
        return rule

    async def _identify(self, scope: Scope) -> Identity:
        if self._gate.oidc is None:  # a glance at a file, and a hash
            return self._gate.identify(scope)
        return await run_sync(self._gate.identify, scope, limiter=self._threads)

    async def _begin(self, entry: dict[str, Any]) -> None:
        try:
            await self._append({**entry, "event": "begin"}, durable=True)
        except OSError as error:
            logger.error("The audit log cannot be written: %s", error.strerror)
            message = "The audit log cannot be written, so nothing was done. Tell whoever runs the server."
            if is_disk_full(error):
                message = "The server's disk is full, so nothing was stored. Ask whoever runs the server to make room."
            raise refusal(507, "disk", message) from error

    async def _refuse(
        self, error: HTTPException, entry: dict[str, Any], scope: Scope, receive: Receive, send: Send
    ) -> None:
        await self.end({**entry, "event": "refused", "status": error.status_code}, durable=False)
        headers = {"WWW-Authenticate": "Bearer"} if error.status_code == 401 else dict(error.headers or {})
        await JSONResponse({"detail": error.detail}, error.status_code, headers)(scope, receive, send)

    async def end(self, entry: dict[str, Any], *, durable: bool) -> None:
        """Write how a request ended; what is done cannot be undone by a log that cannot be written."""
        try:
            await self._append(entry, durable=durable)
        except OSError as error:
            logger.error("The audit log lacks the end of request %s: %s", entry.get("request"), error.strerror)

    async def _append(self, entry: dict[str, Any], *, durable: bool) -> None:
        nobody = entry["event"] == "refused" and not entry.get("user")
        write = self._log.append_refusal if nobody else partial(self._log.append, durable=durable)
        await run_sync(write, entry, limiter=self._threads)


class _End:
    """Writes down how a request ended, before its answer begins.

    Args:
        layer: Has the log.
        rule: Of the request.
        entry: What is known of it.
        notes: What its route says of it.
        send: Where the answer goes.
    """

    def __init__(
        self, layer: AccessMiddleware, rule: Rule, entry: dict[str, Any], notes: dict[str, Any], send: Send
    ) -> None:
        self._layer = layer
        self._trace = rule.trace
        self._entry = entry
        self._notes = notes
        self._send = send
        self._written = False

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer."""
        if message["type"] == "http.response.start":
            await self._write(message["status"])
        await self._send(message)

    async def broken_off(self) -> None:
        """Write down that a change got no answer, if so: the client hung up while its files arrived, say."""
        if self._trace is Trace.CHANGE and not self._written:
            await self._write(None)

    async def _write(self, status: int | None) -> None:
        self._written = True
        stored = self._trace is Trace.CHANGE or "label_version" in self._notes
        if stored or self._trace is Trace.READ or status in (401, 403):
            event = "refused" if status in (401, 403) else "end"
            entry = {**self._entry, "event": event, "status": status, **_facts(self._notes)}
            await self._layer.end(entry, durable=stored)


def _introduce(scope: Scope, who: Identity) -> None:
    """Tell everything behind the layer, and the layers around it, who sends the request."""
    identity.become(who)
    scope.setdefault("state", {})["user"] = who.name


def _facts(notes: dict[str, Any]) -> dict[str, Any]:
    """Return the notes as the log has them: one case by its id, several as a list."""
    cases = notes.get("cases", [])
    rest = {name: value for name, value in notes.items() if name != "cases"}
    return {**({"case": cases[0]} if len(cases) == 1 else {"cases": cases} if cases else {}), **rest}


def _no_rule(path: str) -> HTTPException:
    methods = methods_of(path)
    if not methods:
        return unknown("path", "There is nothing at this address, or this server does not offer it.")
    error = refusal(405, "method", f"This address takes {', '.join(methods)} only.")
    error.headers = {"Allow": ", ".join(methods)}
    return error


def _path_of(scope: Scope) -> str:
    """Return the path as the router matches it."""
    root, path = scope.get("root_path", ""), scope["path"]
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _is_preflight(scope: Scope) -> bool:
    """Tell whether a browser asks what a web page may send; MONAI Label's CORS layer answers that itself."""
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    names = {name.lower() for name, _ in scope["headers"]}
    return {b"origin", b"access-control-request-method"} <= names
