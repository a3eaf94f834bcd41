"""``/healthz`` and ``/metrics``, for monitoring.

``/healthz`` needs no token, so it reveals nothing but whether the server is healthy.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from server_app.api.dependencies import Router
from server_app.common.metrics import REGISTRY
from server_app.services import Services


def router(services: Services) -> APIRouter:
    """Return these routes."""
    router = Router(tags=["Operations"])

    @router.get("/healthz")
    async def healthz(response: Response) -> dict[str, Any]:
        """Return 200 if the server is healthy, or 503 and what is wrong.

        A coroutine, so that it answers while all threads are busy.
        """
        problems = services.overview.problems()
        response.status_code = 503 if problems else 200
        return {"status": "failing" if problems else "ok", "problems": problems}

    @router.get("/metrics")
    def metrics() -> Response:
        """Return the metrics in Prometheus's text format."""
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        return Response(generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router
