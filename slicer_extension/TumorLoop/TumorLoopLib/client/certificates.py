"""Which certificate authorities https trusts; a server's certificate is always verified.

Slicer sets ``SSL_CERT_FILE`` to a bundle of its own, which on Linux and macOS keeps Python from the authorities that
the system trusts. The usual bundles of these systems are therefore loaded as well. Windows' own store is loaded by
Python. Python cannot read the keychain of macOS: an authority that is only there has to be exported and chosen as CA
file.
"""

from __future__ import annotations

import contextlib
import functools
import os
import ssl
from pathlib import Path

from TumorLoopLib.client.errors import ServerUnreachable
from TumorLoopLib.i18n import _

#: Of Debian and Ubuntu; Red Hat and Fedora; SUSE; macOS and Alpine.
SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
#: OpenSSL's codes for "nobody here knows who signed it".
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})


def tls_context(ca_file: str = "") -> ssl.SSLContext:
    """Return the TLS settings of a client.

    Args:
        ca_file: Certificates to trust beside the system's, PEM or DER; empty for none.

    Raises:
        ServerUnreachable: If the CA file cannot be read, or holds no certificate.
    """
    files = (*SYSTEM_BUNDLES, os.environ.get("SSL_CERT_FILE", ""), ca_file)
    return _context(ca_file, tuple((file, _version(file)) for file in files))


def untrusted(server: str, error: ssl.SSLCertVerificationError, ca_file: str) -> str:
    """Return why a server's certificate is refused, and what to do."""
    text = _("The certificate of {server} is not trusted ({reason}).") + " "
    if error.verify_code not in _UNKNOWN_AUTHORITY:
        text += _("Ask whoever runs the server.")
    elif not ca_file:
        text += _(
            "This machine does not know the authority that signed it. Ask whoever runs the server for the authority's "
            'certificate, and choose it under Server as "CA file".'
        )
    elif _store_of(ca_file).cert_store_stats()["x509_ca"] == 0:
        text += _(
            'The CA file under Server, "{file}", holds the certificate of a server, not of an authority. Choose the '
            "certificate of the authority that signed it."
        )
    else:
        text += _('The authority that signed it is not in the CA file under Server, "{file}".')
    return text.format(server=server, reason=error.verify_message, file=ca_file)


@functools.lru_cache(maxsize=4)  # reading the bundles takes as long as a request
def _context(ca_file: str, _versions: tuple[tuple[str, tuple[int, int]], ...]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for bundle in SYSTEM_BUNDLES:
        with contextlib.suppress(OSError):  # not this system's, or damaged
            context.load_verify_locations(bundle)
    if ca_file:
        _load(context, ca_file)
    return context


def _version(file: str) -> tuple[int, int]:
    """Return what changes when a file does."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _store_of(ca_file: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, ca_file)
    return context


def _load(context: ssl.SSLContext, ca_file: str) -> None:
    try:
        content = Path(ca_file).read_bytes()
        if b"-----BEGIN " in content:
            context.load_verify_locations(ca_file)
        else:  # as Windows exports them
            context.load_verify_locations(cadata=content)
    except (ssl.SSLError, ValueError) as error:
        text = _(
            'The CA file under Server, "{file}", holds no certificate in PEM or DER form. Choose the certificate of '
            "the authority that signed the server's, or empty the field."
        )
        raise ServerUnreachable(text.format(file=ca_file)) from error
    except OSError as error:
        text = _(
            'The CA file under Server, "{file}", cannot be read ({reason}). Choose another one, or empty the field.'
        )
        raise ServerUnreachable(text.format(file=ca_file, reason=error.strerror or error)) from error
