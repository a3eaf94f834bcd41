"""What stands more than once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def first_repeated(names: Iterable[str]) -> str | None:
    """Return the first name that stands more than once, or ``None``; in linear time, for names that anybody may send.

    Examples:
        >>> first_repeated(["a", "b", "c", "b"]), first_repeated(["a", "b"])
        ('b', None)
    """
    return next((name for name, count in Counter(names).items() if count > 1), None)
