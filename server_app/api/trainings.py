"""Routes for the plan and the queue of training runs, which MONAI Label does not have."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from server_app.api.dependencies import Router
from server_app.api.upload_route import UploadRoute
from server_app.errors import input_errors
from server_app.retraining.plan import plan_of
from server_app.services import Services
from training.retraining.site import MIN_STUDIES


def router(services: Services) -> APIRouter:
    """Return these routes."""
    router = Router(prefix="/train", tags=["Train"], route_class=UploadRoute)
    trainings = services.trainings

    @router.get("/{model}/plan")
    def get_plan(model: str) -> dict[str, Any]:
        """Return what a training run would start from and learn from, how long it would take, and what it needs.

        ``site`` has the number of studies for a run with mode ``site``, and how many that needs at least.
        """
        trainer = trainings.trainer(model)
        with input_errors():
            need = trainer.memory_need(trainer.defaults)
            plan = plan_of(services.models, services.datastore.labels.corrections(), trainer.defaults)
        memory = {"bytes": need.bytes, "free_bytes": need.free_bytes, "batch_size": need.batch_size}
        site = {"studies": len(services.datastore.labels.cases()), "needed": MIN_STUDIES}
        return {**plan, "memory": memory, "site": site, "resumable": trainer.unfinished() is not None}

    @router.get("/{model}/queue")
    def get_queue(model: str) -> dict[str, Any]:
        """Return the training that is running and those that wait."""
        return trainings.queue(model)

    @router.delete("/{model}/queue/{task}")
    def withdraw(model: str, task: str) -> dict[str, Any]:
        """Remove a waiting training from the queue."""
        return trainings.withdraw(model, task)

    return router
