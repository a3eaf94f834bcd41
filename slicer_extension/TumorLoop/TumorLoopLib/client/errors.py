"""What can go wrong between the panel and the server, as exceptions whose text a clinician can read.

Every exception that the client raises is a :class:`ClientError`; ``str(error)`` is one or two plain sentences.
"""

from __future__ import annotations

from TumorLoopLib.i18n import _


class ClientError(Exception):
    """Anything that kept a request from being answered; ``message`` is written for people."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Cancelled(ClientError):
    """The caller set its cancel event and the connection was closed, or the server's job was cancelled."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or _("Cancelled."))


class ServerUnreachable(ClientError):
    """No connection: wrong address, nothing listening there, no network, or TLS refused."""


class ConnectionLost(ServerUnreachable):
    """The connection broke in the middle of a request or of its answer."""


class ServerTimeout(ClientError):
    """The server was silent for longer than the step's timeout."""


class LocalFileError(ClientError):
    """A file on this machine cannot be read, changed while it was sent, or cannot be written."""


class BadReply(ClientError):
    """An answer arrived, but it is incomplete or not what a TumorLoop server sends."""


class RequestRejected(ClientError):
    """The server refused what was asked (HTTP 4xx).

    Attributes:
        status: The HTTP status: 404 for an unknown name, 422 for unusable input, 429 when busy ...
        field: The argument, file or modality the server complains about; empty when it named none.
        message: The server's own sentence.
    """

    def __init__(self, status: int, field: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.field = field


class NotAuthorized(RequestRejected):
    """The access token is missing, wrong, or not allowed to do this (HTTP 401 or 403)."""


class ServerFailed(ClientError):
    """The server broke while answering (HTTP 5xx); ``status`` is the HTTP status, 507 when its disk is full."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
