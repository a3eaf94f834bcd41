"""Reading the parameters of a request."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
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


def ignored(params: Mapping[str, Any], choices: Collection[str], others: Collection[str]) -> list[str]:
    """Return the names of the parameters that mean nothing here, sorted; MONAI Label's clients send some to any model.

    Args:
        params: A request's parameters.
        choices: The names of those that change what is done.
        others: The names of the others that are read.

    Raises:
        InputError: For a misspelt choice, which would be ignored although something else was meant.
    """
    names = sorted(set(params) - {*choices, *others})
    for name in names:
        meant = difflib.get_close_matches(name.lower().replace("-", "_"), choices, n=1, cutoff=0.85)
        if meant:
            raise InputError(f"There is no parameter {name[:80]!r}. {meant[0]} is probably meant.", field=name[:80])
    return names


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def user_of(params: Mapping[str, Any]) -> str | None:
    """Return who sent a request, according to the client."""
    user = params.get("client_id") or params.get("user")
    return _CONTROL.sub("", str(user))[:100] or None if user else None
