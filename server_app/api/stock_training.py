"""MONAI Label's routes for training runs and the server's state, replaced; see :mod:`.stock_inference`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from monailabel.endpoints import info

from server_app.api.dependencies import Router, Settings, with_user
from server_app.api.upload_route import UploadRoute
from server_app.common.identity import current
from server_app.services import Services


def router(services: Services) -> APIRouter:
    """Return these routes."""
    router = Router(tags=["Train"], route_class=UploadRoute)
    trainings = services.trainings

    @router.post("/train/{model}")
    def run_model(model: str, params: Settings = None, run_sync: bool = False, enqueue: bool = False) -> dict[str, Any]:
        """Start a training run."""
        return trainings.start(model, with_user(params or {}), enqueue=enqueue)

    @router.post("/train/", include_in_schema=False)
    def run_all(params: Settings = None, run_sync: bool = False) -> dict[str, Any]:
        """Start the one training there is, with MONAI Label's reply for all of them."""
        about = with_user(params or {})
        return {
            name: {"result": trainings.start(name, about, enqueue=True), "detail": None} for name in trainings.trainers
        }

    @router.delete("/train/")
    def stop() -> Any:
        """Stop the training in progress; it can be continued later."""
        return trainings.stop()

    @router.get("/info/")
    def describe() -> dict[str, Any]:
        """Describe the server."""
        who = current()
        return {**info.app_info(), "access": {"tokens": who.tokens, "user": who.name, "role": who.role.title}}

    @router.post("/reload", include_in_schema=False)
    def reload() -> dict[str, Any]:
        """Look for new cases; MONAI Label would build the app a second time."""
        services.datastore.refresh()
        return {}

    return router
