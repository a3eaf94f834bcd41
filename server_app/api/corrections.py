"""The route for what corrections show: how good the model's segmentations were, and how long correcting them took."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from server_app.api.dependencies import Router
from server_app.cases.correction_series import CorrectionSeries
from server_app.errors import refusal
from server_app.services import Services


def router(services: Services) -> APIRouter:
    """Return this route."""
    router = Router(tags=["Labels"])

    @router.get("/corrections")
    def list_corrections(format: str = "json") -> Response:
        """Return the model's segmentation against the final label, case by case, and a summary per model version.

        With ``format=csv``, all submissions as a table.
        """
        if format not in ("json", "csv"):
            raise refusal(422, "format", f"format must be json or csv, not {format[:20]!r}.")
        series = CorrectionSeries.of(services.datastore.labels.store, services.models)
        if format == "json":
            return JSONResponse(series.to_json())
        headers = {"Content-Disposition": 'attachment; filename="corrections.csv"'}
        return Response(series.to_csv(), media_type="text/csv; charset=utf-8", headers=headers)

    return router
