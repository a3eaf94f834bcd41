"""What is said of trainings beside MONAI Label's own routes: the plan, and the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from server_app.api.stock_inference import Reader, Trainer
from server_app.disk import StoringRoute
from server_app.errors import input_errors
from server_app.retraining.plan import plan_of

if TYPE_CHECKING:
    from server_app.app import TumorLoopApp


def trainings(app: TumorLoopApp) -> APIRouter:
    """Return these routes."""
    router = APIRouter(prefix="/train", tags=["Train"], route_class=StoringRoute)

    @router.get("/{model}/plan")
    def get_plan(user: Reader, model: str) -> dict[str, Any]:
        """Tell what a training would start from, learn, take and need."""
        trainer, labels = app.trainer(model), app.datastore().labels
        with input_errors():
            need = trainer.memory_need(trainer.defaults)
            plan = plan_of(app.models, labels.corrections(), trainer.defaults)
        memory = {"bytes": need.bytes, "free_bytes": need.free_bytes, "batch_size": need.batch_size}
        return {**plan, "memory": memory, "resumable": trainer.unfinished() is not None}

    @router.get("/{model}/queue")
    def get_queue(user: Reader, model: str) -> dict[str, Any]:
        """Tell which training runs and which wait."""
        return app.trainings.queue(model)

    @router.delete("/{model}/queue/{task}")
    def withdraw(user: Trainer, model: str, task: str) -> dict[str, Any]:
        """Take a training that waits out of the queue."""
        return app.trainings.withdraw(model, task)

    return router
