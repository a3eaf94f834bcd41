"""Where the server is and how long to wait for it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from TumorLoopLib.client.errors import ServerUnreachable
from TumorLoopLib.i18n import _


@dataclass(frozen=True)
class Timeouts:
    """Longest silence of each step, in seconds.

    Attributes:
        connect: Until the connection is established.
        answer: Until a quick request is answered.
        transfer: Between two chunks of a file.
        check: Until the server has checked uploaded files.
        infer: Until a segmentation is computed; a server that just started loads its model first.
    """

    connect: float = 5.0
    answer: float = 30.0
    transfer: float = 30.0
    check: float = 120.0
    infer: float = 600.0


@dataclass(frozen=True)
class Address:
    """The parts of a server's address."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse an address such as ``127.0.0.1:8000`` or ``https://seg.example.org/tumorloop``.

        Raises:
            ServerUnreachable: If it is not an http or https address.
        """
        text = text.strip()
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or parts.scheme not in ("http", "https"):
            raise ServerUnreachable(
                _(
                    '"{text}" is not a server address. Write it like http://127.0.0.1:8000 or '
                    "https://server.example.org."
                ).format(text=text)
            )
        return cls(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), parts.path.rstrip("/"))

    @property
    def is_this_machine(self) -> bool:
        """Whether the server is on this machine, by its address alone."""
        try:
            return self.host.lower() == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name
            return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"
