"""Checks before the server listens: access from other machines requires users, and the TLS files must work."""

from __future__ import annotations

import ssl
from pathlib import Path

from server_app.access.authentication import ADVICE, is_loopback
from server_app.access.users import Users
from training.errors import InputError


def tokens_required(host: str, users: Users, *, required: bool, oidc: bool) -> bool:
    """Return whether the server requires a token from everybody.

    Args:
        host: Address it listens on.
        users: Who has a token.
        required: Whether the settings say so.
        oidc: Whether MONAI Label's own OIDC setting is used instead.

    Raises:
        InputError: If it does, and has no users.
    """
    if oidc or (is_loopback(host) and not required):
        return False
    if not users.active():
        where = "to require tokens" if is_loopback(host) else f"to listen on {host}, where other machines reach it,"
        raise InputError(
            f"The server needs users {where} and has none. Add one first:\n  {ADVICE}\n"
            "or leave out --host, so that only programs on this machine can reach it.",
            field="host",
        )
    return True


def check_tls(cert: Path | None, key: Path | None) -> None:
    """Check the certificate and its key; both or neither must be given. Raises InputError if they cannot be used."""
    if cert is None and key is None:
        return
    if cert is None or key is None:
        given, lacking = ("--tls-key", "--tls-cert") if cert is None else ("--tls-cert", "--tls-key")
        raise InputError(f"{given} was given without {lacking}. TLS needs both files.", field="tls")
    for path in (cert, key):
        if not path.is_file():
            raise InputError(f"There is no file {path}.", field="tls")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, OSError) as error:
        raise InputError(
            f"{cert.name} and {key.name} are not a certificate and its private key in PEM form, without a password "
            f"({getattr(error, 'reason', None) or error.strerror}).",
            field="tls",
        ) from error


def _no_password() -> str:
    """Return no password; OpenSSL would otherwise ask for one on the terminal."""
    return ""
