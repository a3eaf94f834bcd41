"""Where our routes go among MONAI Label's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

if TYPE_CHECKING:
    from server_app.services import Services


def mount(services: Services) -> None:
    """Put all routes of :mod:`server_app.api` before MONAI Label's."""
    from server_app.api import (
        cases,
        claims,
        corrections,
        dicom_seg,
        logs_and_batches,
        operations,
        preprocessing,
        stock_images,
        stock_inference,
        stock_reads,
        stock_training,
        trainings,
    )

    cases_router, *more = cases.routers(services)
    put_first(
        operations.router(services),
        cases_router,
        claims.router(services),
        corrections.router(services),
        dicom_seg.router(services),
        *more,
        *preprocessing.routers(services),
        trainings.router(services),
        *logs_and_batches.routers(services),
        stock_inference.router(services),
        stock_images.router(services),
        stock_training.router(services),
        *stock_reads.routers(),
    )


def put_first(*routers: APIRouter) -> None:
    """Put these routes before all others: the first match answers, ours instead of MONAI Label's."""
    # Importing it builds MONAI Label's application, which must not happen before the settings are complete.
    from monailabel.app import app as web

    web.router.routes[:0] = [route for router in routers for route in router.routes]
