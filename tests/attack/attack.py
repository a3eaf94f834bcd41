"""What an attack is, and how what became of it is judged."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tests.attack.samples import SECRET
from tests.attack.targets import Target
from tests.attack.wire import CLOSED, SILENT, Reply

#: Growth of a server's memory, in MiB, from which on it is told.
_NOTABLE_MB = 150


class Verdict(Enum):
    """What became of an attack, the best first."""

    REFUSED = "refused"
    ERROR = "error"
    WAITED = "kept waiting"
    LET_THROUGH = "let through"
    LEAKED = "leaked a secret"
    WROTE = "wrote outside"
    DOWN = "server down"


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        group: What it is an example of.
        name: What is sent.
        run: Sends it; returns the answer that tells.
        tokens: Whether it is about who may do what, so that ours is attacked where it asks for tokens.
    """

    group: str
    name: str
    run: Callable[[Target], Reply]
    tokens: bool = False


@dataclass(frozen=True)
class Finding:
    """What became of an attack on one server."""

    verdict: Verdict
    detail: str

    @property
    def good(self) -> bool:
        """Whether the server did what it should."""
        return self.verdict is Verdict.REFUSED


def find(attack: Attack, target: Target) -> Finding:
    """Attack a server and judge what became of it."""
    before = target.memory_mb()
    reply = attack.run(target)
    grown = target.memory_mb() - before
    outside = target.written_outside()
    notes = [_said(reply)]
    if grown > _NOTABLE_MB:
        notes.append(f"memory +{grown:,.0f} MiB")
    verdict = _verdict(reply)
    if _holds_secret(reply.body):
        verdict = Verdict.LEAKED
    if outside:
        verdict = Verdict.WROTE
        notes.append(", ".join(outside))
    if not target.is_alive():
        verdict = Verdict.DOWN
    return Finding(verdict, "; ".join(notes))


def _verdict(reply: Reply) -> Verdict:
    if reply.status == SILENT:
        return Verdict.WAITED
    if reply.status < 300 and reply.status != CLOSED:
        return Verdict.LET_THROUGH
    return Verdict.ERROR if reply.status >= 500 and reply.status != 503 else Verdict.REFUSED


def _said(reply: Reply) -> str:
    if reply.status == SILENT:
        return f"no end after {reply.seconds:.0f} s"
    return f"closed after {reply.seconds:.1f} s" if reply.status == CLOSED else str(reply.status)


def _holds_secret(body: bytes) -> bool:
    if SECRET.strip() in body:
        return True
    try:
        return body[:2] == b"\x1f\x8b" and SECRET.strip() in gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        return False
