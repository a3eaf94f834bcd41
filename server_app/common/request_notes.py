"""Facts about the current request, for the audit log."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

#: Maximum number of cases that a line names; a download of the whole dataset has more.
_MAX_CASES = 1000
_NOTES: ContextVar[dict[str, Any] | None] = ContextVar("tumorloop-audit", default=None)


def begin_notes() -> dict[str, Any]:
    """Start the notes of a request, which :func:`note` fills, and return them."""
    notes: dict[str, Any] = {}
    _NOTES.set(notes)
    return notes


def note(**facts: Any) -> None:
    """Add facts to the audit log's line about the current request; outside of one do nothing.

    Args:
        facts: ``case``, ``label_version``, ``model_version``, ``sha256`` and the like; never the name of a patient or a
            file. Several cases become a list.
    """
    notes = _NOTES.get()
    if notes is None:
        return
    case = facts.pop("case", None)
    if case is not None:
        cases = notes.setdefault("cases", [])
        if case not in cases and len(cases) < _MAX_CASES:
            cases.append(case)
    notes.update({name: value for name, value in facts.items() if value is not None})
