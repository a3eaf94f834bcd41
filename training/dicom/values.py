"""Values of a DICOM header in plain types; what is missing or breaks the standard is empty or ``None``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def _value(header: Dataset, name: str) -> Any:
    try:
        return header.get(name)
    except Exception:  # noqa: BLE001  # a value that breaks the standard raises all kinds of errors
        return None


def text(header: Dataset, name: str) -> str:
    """Return a text without superfluous blanks; empty if it is missing."""
    value = _value(header, name)
    return "" if value is None else " ".join(str(value).replace("\0", " ").split())


def texts(header: Dataset, name: str) -> tuple[str, ...]:
    """Return texts in upper case; none if they are missing."""
    value = _value(header, name)
    if value is None:
        return ()
    values = [value] if isinstance(value, str) else list(value)
    return tuple(str(one).strip().upper() for one in values)


def number(header: Dataset, name: str) -> float | None:
    """Return a number, the first of several; ``None`` if it is missing or no finite number."""
    value = _value(header, name)
    if value is not None and not isinstance(value, str | int | float) and hasattr(value, "__len__"):
        value = value[0] if len(value) else None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if abs(found) < 1e12 else None


def integer(header: Dataset, name: str) -> int | None:
    """Return a whole number; ``None`` if it is missing or none."""
    value = number(header, name)
    return None if value is None else int(value)


def numbers(header: Dataset, name: str, count: int) -> tuple[float, ...] | None:
    """Return ``count`` finite numbers; ``None`` if there are not so many."""
    value = _value(header, name)
    try:
        found = tuple(float(one) for one in value)
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and all(abs(one) < 1e12 for one in found) else None
