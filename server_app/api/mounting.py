"""Where our routes go among MONAI Label's."""

from __future__ import annotations

from fastapi import APIRouter


def put_first(*routers: APIRouter) -> None:
    """Put these routes before all that are there: the first that matches answers, ours instead of a stock one."""
    # Imported when the server is being built: importing it earlier would build MONAI Label's application too soon.
    from monailabel.app import app as web

    web.router.routes[:0] = [route for router in routers for route in router.routes]
