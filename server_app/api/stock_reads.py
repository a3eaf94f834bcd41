"""MONAI Label's routes that only read or remove, moved out of the event loop; see :mod:`.stock_inference`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from monailabel.endpoints import datastore, session
from monailabel.endpoints import model as stock_model

from server_app.api.dependencies import Router, user_name
from server_app.api.upload_route import UploadRoute


def routers() -> list[APIRouter]:
    """Return these routes."""
    return [_images(), _labels(), _models(), _sessions()]


def _images() -> APIRouter:
    router = Router(prefix="/datastore", tags=["Datastore"], route_class=UploadRoute)

    @router.get("/")
    def describe(output: datastore.ResultType | None = None) -> Any:
        """Count the cases and labels, or list them."""
        return datastore.datastore(output)

    @router.get("/image/info")
    def image_info(image: str) -> Any:
        """Return the facts about a case's display volume."""
        return datastore.get_image_info(image)

    @router.delete("/", include_in_schema=False)
    @router.delete("/image")
    def remove_image(id: str) -> Any:
        """Remove an uploaded case."""
        return datastore.remove_image(id, user_name())

    return router


def _labels() -> APIRouter:
    router = Router(prefix="/datastore/label", tags=["Datastore"], route_class=UploadRoute)

    @router.head("")
    def check_label(image: str, tag: str) -> Any:
        """Return 200 if a case has a label with this tag."""
        return datastore.download_label(image, tag, check_only=True)

    @router.get("")
    def download_label(label: str, tag: str) -> Any:
        """Return the newest label with this tag."""
        return datastore.download_label(label, tag)

    @router.get("/info")
    def label_info(label: str, tag: str) -> Any:
        """Return the provenance of the newest label with this tag."""
        return datastore.get_label_info(label, tag)

    @router.delete("")
    def remove_label(id: str, tag: str) -> Any:
        """Remove the newest label with this tag."""
        return datastore.remove_label(id, tag, user_name())

    return router


def _models() -> APIRouter:
    router = Router(prefix="/model", tags=["Model"])

    @router.get("/{model}")
    def download_model(model: str) -> Any:
        """Return a model's file, if the server offers one."""
        return stock_model.download_model(model)

    @router.get("/info/{model}")
    def model_info(model: str) -> Any:
        """Return the checksum of a model's file, if the server offers one."""
        return stock_model.model_info(model)

    return router


def _sessions() -> APIRouter:
    router = Router(prefix="/session", tags=["Session"], route_class=UploadRoute)

    @router.delete("/{session_id}")
    def remove_session(session_id: str) -> Any:
        """Forget a session and delete its files."""
        return session.remove_session(session_id)

    return router
