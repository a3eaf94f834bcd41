"""The exceptions of the client, with messages for clinicians.

Every exception that the client raises is a :class:`ClientError`; ``str(error)`` is one or two plain sentences.
"""

from __future__ import annotations

from TumorLoopLib.i18n import _


class ClientError(Exception):
    """A request failed; ``message`` is written for users."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Cancelled(ClientError):
    """The cancel event was set and the connection closed, or the server's job was cancelled."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or _("Cancelled."))


class ServerUnreachable(ClientError):
    """No connection: wrong address, nothing listening there, no network, or TLS refused."""


class ConnectionLost(ServerUnreachable):
    """The connection broke during a request or its answer."""


class ServerTimeout(ClientError):
    """The server was silent for longer than the step's timeout."""


class LocalFileError(ClientError):
    """A local file cannot be read or written, or changed while it was sent."""


class BadReply(ClientError):
    """The answer is incomplete or not what a TumorLoop server sends."""


class RequestRejected(ClientError):
    """The server rejected the request (HTTP 4xx).

    Attributes:
        status: The HTTP status: 404 for an unknown name, 422 for unusable input, 429 if busy ...
        field: The argument, file or modality that the server rejected; empty if it named none.
        message: The server's own message.
    """

    def __init__(self, status: int, field: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.field = field


class NotAuthorized(RequestRejected):
    """The access token is missing, wrong, or not allowed to do this (HTTP 401 or 403)."""


class ServerFailed(ClientError):
    """The server failed (HTTP 5xx); ``status`` is the HTTP status, 507 if its disk is full."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
