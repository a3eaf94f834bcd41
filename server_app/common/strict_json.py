"""Strict JSON; Python's own reader accepts more, some of which cannot be written again."""

from __future__ import annotations

import json
from typing import Any

from training.repeated import first_repeated

#: Maximum number of levels of nested lists and objects.
MAX_NESTING = 50
#: Maximum number of digits in a number; Python's own limit for integers, 4,300, allows slow ones.
_MAX_DIGITS = 400


def strict_json(text: str | bytes) -> Any:
    """Read JSON.

    Raises:
        ValueError: If it is not JSON, is nested deeper than :data:`MAX_NESTING`, has a name twice in one object, or
            contains NaN, an infinite number, one with too many digits, or a lone surrogate.
    """
    try:
        content = json.loads(
            text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole, object_pairs_hook=_object
        )
        _check_depth(content)
        json.dumps(content, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MAX_NESTING} levels") from None
    except UnicodeEncodeError:
        raise ValueError("it contains half a character (a lone surrogate)") from None
    return content


def _check_depth(content: Any) -> None:
    level = [content]
    for _ in range(MAX_NESTING + 1):
        inner = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list)]
        level = [item for part in inner for item in part]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {MAX_NESTING} levels")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; Python's own reader would silently take the last one of two values."""
    twice = first_repeated(name for name, _ in pairs)
    if twice is not None:
        raise ValueError(f"it has {twice[:40]!r} twice")
    return dict(pairs)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {digits[:40]} is too large")
    return number


def _whole(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)
