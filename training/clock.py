"""The time, as it is written into every record."""

from __future__ import annotations

from datetime import datetime, timezone


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
