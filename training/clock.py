"""The clock of all records."""

from __future__ import annotations

from datetime import datetime, timezone


def now() -> str:
    """Return the current time in UTC as ISO 8601 with seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
