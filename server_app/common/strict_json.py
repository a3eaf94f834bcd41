"""JSON as the standard has it; Python's own reader takes more, and what it takes cannot always be written again."""

from __future__ import annotations

import json
from typing import Any

#: Most levels of lists and objects in each other.
MAX_NESTING = 50
#: Most digits of a number; Python's own limit for whole numbers, beyond which reading takes long, is 4,300.
_MAX_DIGITS = 400


def strict_json(text: str | bytes) -> Any:
    """Read JSON.

    Raises:
        ValueError: If it is none, nested deeper than :data:`MAX_NESTING`, or holds NaN, an infinite number, one of more
            digits than anybody means, or half a character.
    """
    try:
        content = json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
        _check_depth(content)
        json.dumps(content, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MAX_NESTING} levels") from None
    except UnicodeEncodeError:
        raise ValueError("it holds half a character (a lone surrogate)") from None
    return content


def _check_depth(content: Any) -> None:
    level = [content]
    for _ in range(MAX_NESTING + 1):
        inner = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list)]
        level = [item for part in inner for item in part]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {MAX_NESTING} levels")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {digits[:40]} is too large")
    return number


def _whole(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)
