"""The routes of claims: who is working on which case; see :mod:`server_app.cases.claims`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from server_app.api.dependencies import Router, Settings, with_user
from server_app.api.upload_route import UploadRoute
from server_app.cases.claims import MAX_CLAIM_MINUTES
from server_app.common.identity import Role, require
from server_app.common.params import user_of
from server_app.errors import input_errors
from server_app.services import Services
from training.errors import InputError


def router(services: Services) -> APIRouter:
    """Return these routes."""
    router = Router(tags=["Claims"], route_class=UploadRoute)
    store = services.datastore

    @router.get("/claims")
    def list_claims() -> dict[str, Any]:
        """Return who is working on which case now."""
        return {"claims": [claim.to_json() for claim in store.claims.all()]}

    @router.put("/cases/{case_id}/claim")
    def put_claim(case_id: str, params: Settings = None) -> dict[str, Any]:
        """Claim a case, or renew a claim, for ``minutes`` from now on; 409 if somebody else has claimed it."""
        about = with_user(params or {})
        with input_errors():
            minutes = _minutes(about.get("minutes"), services.settings.claim_minutes)
        return store.claims.claim_for(store.case(case_id).id, user_of(about), minutes).to_json()

    @router.delete("/cases/{case_id}/claim")
    def delete_claim(case_id: str, client_id: str = "", force: bool = False) -> dict[str, Any]:
        """Release a case; with ``force``, which takes a trainer, even if somebody else has claimed it."""
        if force:
            require(Role.TRAINER, "force", "end somebody else's claim")
        who = user_of(with_user({"client_id": client_id}))
        ended = store.claims.release(store.case(case_id).id, who, force=force)
        return {"released": ended.to_json() if ended is not None else None}

    return router


def _minutes(given: Any, default: float) -> float:
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int | float) or not 1 <= given <= MAX_CLAIM_MINUTES:
        raise InputError(
            f"minutes must be a number from 1 to {MAX_CLAIM_MINUTES}, not {str(given)[:40]!r}.", field="minutes"
        )
    return float(given)
