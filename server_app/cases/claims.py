"""Who is working on which case: claims with a lease, so that two people do not correct the same case by accident.

A claim is advisory, not a lock. It expires by itself, so that nobody blocks a case by going home. It is considered when
the next case is chosen, and shown with each case. A label that somebody else submits in the meantime is kept like any
other: labels are versions, and none replaces another.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from server_app.common.quarantine import Quarantine
from server_app.errors import refusal
from training.atomic import write_json

logger = logging.getLogger(__name__)

#: Minutes a claim may last.
MAX_CLAIM_MINUTES = 24 * 60


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        case: The case's id.
        user: Who claimed it.
        since: When it began, Unix time.
        until: When it expires, Unix time.
    """

    case: str
    user: str
    since: float
    until: float

    def to_json(self) -> dict[str, Any]:
        """Return it with its times in UTC, ISO 8601."""
        return {"case": self.case, "user": self.user, "since": _iso(self.since), "until": _iso(self.until)}


class Claims:
    """The claims of one server. Thread-safe; only the web process changes them.

    Args:
        path: The file ``claims.json``, directly in the workspace.
        clock: Returns Unix time.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._claims = self._read()

    def all(self) -> list[Claim]:
        """Return the current claims, by case."""
        with self._lock:
            return [claim for _, claim in sorted(self._live().items())]

    def of(self, case: str) -> Claim | None:
        """Return a case's claim, ``None`` if there is none."""
        with self._lock:
            return self._live().get(case)

    def held_by_other(self, case: str, user: str | None) -> Claim | None:
        """Return a case's claim if it is somebody else's than ``user``'s."""
        claim = self.of(case)
        return claim if claim is not None and claim.user != user else None

    def claim(self, case: str, user: str, minutes: float) -> Claim | None:
        """Claim a case, or renew a claim, for ``minutes`` from now on; ``None`` if somebody else has claimed it."""
        now = self._clock()
        with self._lock:
            earlier = self._live().get(case)
            if earlier is not None and earlier.user != user:
                return None
            since = earlier.since if earlier is not None else now
            claim = Claim(case, user, since, now + 60.0 * minutes)
            self._store({**self._live(), case: claim})
            return claim

    def claim_for(self, case: str, user: str | None, minutes: float) -> Claim:
        """Claim a case for the sender of a request; 422 if that is unknown, 409 if somebody else has claimed it."""
        if user is None:
            raise refusal(422, "client_id", "A claim needs a name: send it as client_id.")
        claim = self.claim(case, user, minutes)
        if claim is not None:
            return claim
        other = self.held_by_other(case, user)
        raise (
            taken(other) if other is not None else refusal(409, "claim", f"Case {case} was just released; try again.")
        )

    def release(self, case: str, user: str | None, *, force: bool = False) -> Claim | None:
        """Release a case; return the claim that ended, ``None`` if there was none.

        Raises:
            HTTPException: 409 if somebody else has claimed it, unless ``force`` is set.
        """
        with self._lock:
            live = self._live()
            claim = live.pop(case, None)
            if claim is None:
                return None
            if claim.user != user and not force:
                raise taken(claim)
            self._store(live)
            return claim

    def _live(self) -> dict[str, Claim]:
        now = self._clock()
        return {case: claim for case, claim in self._claims.items() if claim.until > now}

    def _store(self, claims: dict[str, Claim]) -> None:
        write_json(self._path, {"claims": [asdict(claim) for claim in claims.values()]})
        self._claims = claims

    def _read(self) -> dict[str, Claim]:
        try:
            entries = json.loads(self._path.read_text(encoding="utf-8"))["claims"]
            claims = [Claim(str(e["case"]), str(e["user"]), float(e["since"]), float(e["until"])) for e in entries]
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            Quarantine.of(self._path.parent).set_aside(
                self._path, f"It cannot be read: {error}.", "No case is claimed now."
            )
            return {}
        return {claim.case: claim for claim in claims}


def taken(claim: Claim) -> Exception:
    """Build the response to a request for a case that somebody else has claimed."""
    until = f"{_iso(claim.until)[:16].replace('T', ' ')} UTC"
    message = f"{claim.user} has claimed case {claim.case} until {until}. Choose another, or ask them to release it."
    return refusal(409, "claim", message)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
