"""Telling clients apart, so that the queue is fair to each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request


def client_of(request: Request, params: Mapping[str, Any]) -> str:
    """Return a name for who sends a request: the user who was authenticated, or else the machine and its own name.

    Args:
        request: The request; a layer that knows the user has put the name into its state.
        params: May hold ``client_id``, as clients without a token call themselves.
    """
    user = request.scope.get("state", {}).get("user")
    if user:
        return f"user {user}"
    host = request.client.host if request.client else ""
    return f"{host} {str(params.get('client_id') or '')[:100]}"
