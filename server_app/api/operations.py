"""``/healthz`` and ``/metrics``: for the machines that watch over the server.

``/healthz`` asks for no token, so it tells nobody anything but whether the server is well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Response

from server_app.api.mounting import put_first
from server_app.api.stock_inference import Reader
from server_app.common.metrics import REGISTRY, StateCollector

if TYPE_CHECKING:
    from server_app.app import TumorLoopApp


def install(app: TumorLoopApp) -> None:
    """Add these routes to the server."""
    REGISTRY.register(StateCollector(app.overview.gauges))
    put_first(_operations(app))


def _operations(app: TumorLoopApp) -> APIRouter:
    router = APIRouter(tags=["Operations"])

    @router.get("/healthz")
    async def healthz(response: Response) -> dict[str, Any]:
        """Tell whether the server is well: 200, or 503 and what is wrong.

        A coroutine, so that it answers while all threads are taken.
        """
        ills = app.overview.problems()
        response.status_code = 503 if ills else 200
        return {"status": "failing" if ills else "ok", "problems": ills}

    @router.get("/metrics")
    def metrics(user: Reader) -> Response:
        """Return what was counted and measured, in Prometheus's text format."""
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        return Response(generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router
