"""Who sends a request: the owner of a token, a user of MONAI Label's OIDC setting, or a program on this machine.

A request that may come from another machine needs a token, however the server was started. Once there are users,
requests from this machine need one, too: a local proxy that adds no header looks like a local program.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from server_app.access.users import Users
from server_app.common.identity import ANONYMOUS, Identity
from server_app.errors import input_errors, refusal

#: How to add a user, for the server's administrator.
ADVICE = "python -m server_app users add NAME --role annotator --studies DIR"
#: Headers that a proxy adds: such a request may come from anywhere.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

_NO_TOKEN = "This server needs an access token, sent as 'Authorization: Bearer TOKEN'. Ask its administrator for one."
_BAD_TOKEN = "This access token is not valid: it is wrong, expired or revoked. Ask for a new one."
_NO_USERS = f"This server has no users, so other machines have no access. Its administrator can add one: {ADVICE}"


@dataclass(frozen=True)
class Authenticator:
    """Finds out who sends a request.

    Attributes:
        users: Who has a token.
        required: Whether programs on this machine need a token even if there are no users.
        origins: Web pages that may use the server without a token, in addition to its own.
        oidc: Used instead of ``users`` when MONAI Label's own OIDC setting is on: from a token to its user, or
            ``None``; may block.
    """

    users: Users
    required: bool = False
    origins: frozenset[str] = frozenset()
    oidc: Callable[[str], Identity | None] | None = None

    def identify(self, scope: Mapping[str, Any]) -> Identity:
        """Return who sends a request; reads files, and may ask the OIDC server.

        Args:
            scope: The ASGI scope.

        Raises:
            HTTPException: 401 if a token is needed and is missing or not valid; 503 if the file of users cannot be
                read.
        """
        if not self.requires_token(scope):
            return ANONYMOUS  # even if it sends a token: a panel may remember another server's
        token = _token_of(scope)
        if token is None:
            raise refusal(401, "token", self._message(_NO_TOKEN))
        found = self.oidc(token) if self.oidc is not None else self.user_of(token)
        if found is None:
            raise refusal(401, "token", self._message(_BAD_TOKEN))
        return found

    def requires_token(self, scope: Mapping[str, Any]) -> bool:
        """Return whether a request needs a token; 503 if the file of users cannot be read."""
        always = self.required or self.oidc is not None
        return always or not is_local_request(scope, self.origins) or self._ever_had_users()

    def user_of(self, token: str) -> Identity | None:
        """Return whose token it is; ``None`` if it is not valid.

        Raises:
            HTTPException: 503 if the file of users cannot be read.
        """
        with input_errors(503):
            return self.users.identify(token)

    def _has_users(self) -> bool:
        with input_errors(503):
            return bool(self.users.active())

    def _ever_had_users(self) -> bool:
        """Return whether a user was ever added: access must not become open again once the last one is revoked."""
        with input_errors(503):
            return bool(self.users.all())

    def _message(self, otherwise: str) -> str:
        return otherwise if self.oidc is not None or self._has_users() else _NO_USERS


def is_local_request(scope: Mapping[str, Any], origins: frozenset[str] = frozenset()) -> bool:
    """Return whether a request can only come from a program on this machine.

    It does if it arrived on the loopback interface, was not forwarded by a proxy, and was not caused by a web page:
    neither one of another origin, nor one whose name was made to resolve to this machine.
    """
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
    server = scope.get("server") or ("", None)
    if not is_loopback(str(server[0])) or any(name in headers for name in _FORWARDED):
        return False
    host = headers.get("host", "")
    if not is_loopback(_host_of(host)):
        return False
    origin = headers.get("origin")
    return origin is None or origin in origins or origin == f"{scope.get('scheme', 'http')}://{host}"


def is_loopback(host: str) -> bool:
    """Return whether a name or address is this machine's loopback interface.

    Examples:
        >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1", "0.0.0.0", "")]
        [True, True, True, True, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _host_of(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _token_of(scope: Mapping[str, Any]) -> str | None:
    """Return a request's token; ``None`` if it has none, an empty one if it has two."""
    sent = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name.lower() == b"authorization"]
    if not sent:
        return None
    kind, _, token = sent[0].partition(" ")
    return token.strip() if len(sent) == 1 and kind.lower() == "bearer" else ""
