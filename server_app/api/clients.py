"""Distinguishing clients, so that the queue is fair to each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request


def client_of(request: Request, params: Mapping[str, Any]) -> str:
    """Return a name for the sender of a request: the authenticated user, or else the machine and ``client_id``.

    Args:
        request: The request; the access middleware has put the user's name into its state.
        params: May contain ``client_id``, which clients without a token choose.
    """
    user = request.scope.get("state", {}).get("user")
    if user:
        return f"user {user}"
    host = request.client.host if request.client else ""
    return f"{host} {str(params.get('client_id') or '')[:100]}"
