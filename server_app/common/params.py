"""Reading the parameters of a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from training.errors import InputError


def flag(params: Mapping[str, Any], name: str) -> bool:
    """Return a Boolean parameter; ``False`` if it is missing.

    Raises:
        InputError: If it is anything else.
    """
    value = params.get(name)
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{name} must be true or false, not {str(value)[:40]!r}.", field=name)
    return bool(value)


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def user_of(params: Mapping[str, Any]) -> str | None:
    """Return who sent a request, according to the client."""
    user = params.get("client_id") or params.get("user")
    return _CONTROL.sub("", str(user))[:100] or None if user else None
