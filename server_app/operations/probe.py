"""``python -m server_app.operations.probe URL``: a container's health check of a server on this machine.

Exits with 0 if it is healthy and with 1 if it is not, or does not answer.
"""

from __future__ import annotations

import ssl
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

#: Only this machine is probed, so the certificate, which is for another name, need not be checked.
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def probe(url: str, timeout: float = 4.0) -> str:
    """Return what is wrong with a server; empty if it is healthy."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or address.hostname not in _LOOPBACK:
        return "Only a server on this machine can be probed."
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(url, timeout=timeout):
            return ""
    except urllib.error.HTTPError as error:
        return f"The server is failing: {error.read(500).decode(errors='replace')}"
    except OSError as error:
        return f"The server does not answer: {error}"


def main() -> int:
    """Run the command line."""
    if len(sys.argv) != 2:
        print("usage: python -m server_app.operations.probe URL", file=sys.stderr)
        return 2
    wrong = probe(sys.argv[1])
    if wrong:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
