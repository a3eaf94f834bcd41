"""What an attack is, and how what became of it is judged."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from tests.attack.samples import SECRET
from tests.attack.targets import Run, Target
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
    """One attack: what it is an example of, what is sent, and what sends it."""

    group: str
    name: str
    run: Run
    #: Whether it is about who may do what, so that ours is attacked where it asks for tokens.
    tokens: bool = False


@dataclass(frozen=True)
class Finding:
    """What became of an attack on one server."""

    verdict: Verdict
    detail: str

    @property
    def good(self) -> bool:
        return self.verdict is Verdict.REFUSED


def find(attack: Attack, target: Target) -> Finding:
    """Attack a server and judge what became of it."""
    before = target.memory_mb()
    reply = attack.run(target)
    grown, outside = target.memory_mb() - before, target.written_outside()
    notes = [_described(reply), *([f"memory +{grown:,.0f} MiB"] if grown > _NOTABLE_MB else [])]
    notes += [", ".join(outside)] if outside else []
    return Finding(_verdict(reply, outside, target), "; ".join(notes))


def _verdict(reply: Reply, outside: list[str], target: Target) -> Verdict:
    if not target.is_alive():
        return Verdict.DOWN
    if outside:
        return Verdict.WROTE
    if _holds_secret(reply.body):
        return Verdict.LEAKED
    if reply.status == SILENT:
        return Verdict.WAITED
    if reply.status < 300 and reply.status != CLOSED:
        return Verdict.LET_THROUGH
    return Verdict.ERROR if reply.status >= 500 and reply.status != 503 else Verdict.REFUSED


def _described(reply: Reply) -> str:
    if reply.status == SILENT:
        return f"no end after {reply.seconds:.0f} s"
    return f"closed after {reply.seconds:.1f} s" if reply.status == CLOSED else str(reply.status)


def _holds_secret(body: bytes) -> bool:
    with suppress(OSError, EOFError, zlib.error):
        body += gzip.decompress(body)
    return SECRET.strip() in body
