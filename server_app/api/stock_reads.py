"""MONAI Label's routes that only read or remove, moved out of the event loop.

Same paths, parameters, roles and replies. MONAI Label's own are ``async def`` around work on files, so that ``/info``
waits meanwhile; these are plain functions, which FastAPI runs in its thread pool.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from monailabel.endpoints import datastore, session
from monailabel.endpoints import model as stock_model

from server_app.api.mounting import put_first
from server_app.api.stock_inference import Reader, Trainer
from server_app.disk import StoringRoute


def install() -> None:
    """Put these routes before MONAI Label's."""
    put_first(_images(), _labels(), _models(), _sessions())


def _images() -> APIRouter:
    router = APIRouter(prefix="/datastore", tags=["Datastore"], route_class=StoringRoute)

    @router.get("/")
    def describe(user: Reader, output: datastore.ResultType | None = None) -> Any:
        """Count the cases and labels, or list them."""
        return datastore.datastore(output)

    @router.get("/image/info")
    def image_info(user: Reader, image: str) -> Any:
        """Return what is known of a case's display volume."""
        return datastore.get_image_info(image)

    @router.delete("/", include_in_schema=False)
    @router.delete("/image")
    def remove_image(user: Trainer, id: str) -> Any:
        """Take an uploaded case out of the list."""
        return datastore.remove_image(id, user.username)

    return router


def _labels() -> APIRouter:
    router = APIRouter(prefix="/datastore/label", tags=["Datastore"], route_class=StoringRoute)

    @router.head("")
    def check_label(user: Reader, image: str, tag: str) -> Any:
        """Tell whether a case has a label of a tag."""
        return datastore.download_label(image, tag, check_only=True)

    @router.get("")
    def download_label(user: Reader, label: str, tag: str) -> Any:
        """Return the newest label of a tag."""
        return datastore.download_label(label, tag)

    @router.get("/info")
    def label_info(user: Reader, label: str, tag: str) -> Any:
        """Return the provenance of the newest label of a tag."""
        return datastore.get_label_info(label, tag)

    @router.delete("")
    def remove_label(user: Trainer, id: str, tag: str) -> Any:
        """Take back the newest label of a tag."""
        return datastore.remove_label(id, tag, user.username)

    return router


def _models() -> APIRouter:
    router = APIRouter(prefix="/model", tags=["Model"])

    @router.get("/{model}")
    def download_model(user: Trainer, model: str) -> Any:
        """Return a model's file, if the server offers one."""
        return stock_model.download_model(model)

    @router.get("/info/{model}")
    def model_info(user: Trainer, model: str) -> Any:
        """Return the checksum of a model's file, if the server offers one."""
        return stock_model.model_info(model)

    return router


def _sessions() -> APIRouter:
    router = APIRouter(prefix="/session", tags=["Session"], route_class=StoringRoute)

    @router.delete("/{session_id}")
    def remove_session(user: Reader, session_id: str) -> Any:
        """Forget a session and delete its files."""
        return session.remove_session(session_id)

    return router
