"""Who sends a request: the owner of a token, a user of MONAI Label's OIDC setting, or a program on this machine.

Tokens are asked for wherever a request may come from elsewhere, whatever door the server was started by. Once there are
users, everybody is asked, also on this machine: a proxy here that adds no header looks like a program of this machine.
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

#: How to get in, for whoever runs the server.
ADVICE = "python -m server_app users add NAME --role annotator --studies DIR"
#: Headers of a proxy: such a request comes from wherever the proxy got it.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

_NO_TOKEN = "This server asks for an access token, sent as 'Authorization: Bearer TOKEN'. Ask whoever runs it for one."
_BAD_TOKEN = "This access token is not known here: it is wrong, expired or revoked. Ask for a new one."
_NO_USERS = f"This server has no users, so nobody is let in from elsewhere. Whoever runs it adds one: {ADVICE}"


@dataclass(frozen=True)
class Authenticator:
    """Tells who sends a request.

    Attributes:
        users: Those who have tokens.
        required: Whether programs on this machine need a token even while there are no users.
        origins: Of web pages that may use the server without a token, besides its own.
        oidc: Takes the place of ``users`` when MONAI Label's own OIDC setting is on: from a token to its user, or
            ``None``; may block.
    """

    users: Users
    required: bool = False
    origins: frozenset[str] = frozenset()
    oidc: Callable[[str], Identity | None] | None = None

    def identify(self, scope: Mapping[str, Any]) -> Identity:
        """Return who sends a request; reads files, and may ask the OIDC server.

        Args:
            scope: Of ASGI.

        Raises:
            HTTPException: 401 if a token is needed and there is none, or not a good one; 503 if the file of users
                cannot be read.
        """
        if not self.requires_token(scope):
            return ANONYMOUS  # whatever it sends: a panel may remember another server's token
        token = _token_of(scope)
        if token is None:
            raise refusal(401, "token", self._sentence(_NO_TOKEN))
        found = self.oidc(token) if self.oidc is not None else self._identify(token)
        if found is None:
            raise refusal(401, "token", self._sentence(_BAD_TOKEN))
        return found

    def requires_token(self, scope: Mapping[str, Any]) -> bool:
        """Tell whether a request needs a token.

        Raises:
            HTTPException: 503 if the file of users cannot be read.
        """
        always = self.required or self.oidc is not None
        return always or not is_local_request(scope, self.origins) or self._ever_had_users()

    def _identify(self, token: str) -> Identity | None:
        with input_errors(503):
            return self.users.identify(token)

    def _has_users(self) -> bool:
        with input_errors(503):
            return bool(self.users.active())

    def _ever_had_users(self) -> bool:
        """Tell whether anybody was added, even if revoked or expired since: that must not open the door again."""
        with input_errors(503):
            return bool(self.users.all())

    def _sentence(self, otherwise: str) -> str:
        return otherwise if self.oidc is not None or self._has_users() else _NO_USERS


def is_local_request(scope: Mapping[str, Any], origins: frozenset[str] = frozenset()) -> bool:
    """Tell whether a request can only come from a program on this machine.

    It does if it arrived at the loopback interface, was not passed on by a proxy, and no web page is behind it: neither
    one of another origin, nor one whose name was made to point to this machine.
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
    """Tell whether a name or address is this machine's loopback interface.

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
    """Return a request's token; ``None`` if it bears none, an empty one if there are two."""
    sent = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name.lower() == b"authorization"]
    if not sent:
        return None
    kind, _, token = sent[0].partition(" ")
    return token.strip() if len(sent) == 1 and kind.lower() == "bearer" else ""
