"""TumorLoop's own routes, beside MONAI Label's: cases with four files, label versions, model versions, maps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, File, UploadFile
from fastapi.responses import FileResponse

from server_app.errors import input_errors, unknown
from server_app.labels_store import LabelVersion
from server_app.received import received
from server_app.stock_routes import Annotator, Reader, Trainer, with_user
from training.cases import Case
from training.model_store import ModelVersion

if TYPE_CHECKING:
    from server_app.app import TumorLoopApp


def install(app: TumorLoopApp) -> None:
    """Add these routes to the server."""
    from monailabel.app import app as web

    web.router.routes[:0] = [*_cases(app).routes, *_versions(app).routes, *_maps(app).routes]


def _cases(app: TumorLoopApp) -> APIRouter:
    router = APIRouter(prefix="/cases", tags=["Cases"])

    @router.get("")
    def list_cases(user: Reader) -> dict[str, Any]:
        """Return all cases, and what looks like one but cannot be used."""
        store = app.datastore()
        cases = [_described(app, case) for case in store.catalog.all().values()]
        return {"cases": cases, "problems": store.catalog.problems()}

    @router.put("/{case_id}")
    def put_case(
        user: Annotator, case_id: str, files: Annotated[list[UploadFile], File()], client_id: str = ""
    ) -> dict[str, Any]:
        """Store four files as a case; their names tell the modalities."""
        with received(files, app.workspace.incoming) as paths:
            case = app.datastore().add_case(case_id, paths, with_user({"client_id": client_id}, user))
        return _described(app, case)

    @router.get("/{case_id}/labels")
    def list_labels(user: Reader, case_id: str) -> dict[str, Any]:
        """Return the versions of a case's label, oldest first, with their provenance."""
        store = app.datastore()
        labels = store.labels.store.versions(store.case(case_id).id)
        return {"labels": [_provenance(label) for label in labels]}

    @router.get("/{case_id}/labels/{version}")
    def get_label(user: Reader, case_id: str, version: str) -> FileResponse:
        """Return one version of a case's label."""
        store = app.datastore()
        case = store.case(case_id)
        for label in store.labels.store.versions(case.id):
            if label.version == version:
                return FileResponse(label.path, filename=f"{case.id}-{version}.nii.gz")
        raise unknown("version", f"Case {case.id} has no label {version[:32]!r}.")

    return router


def _versions(app: TumorLoopApp) -> APIRouter:
    router = APIRouter(prefix="/versions", tags=["Model versions"])

    @router.get("")
    def list_versions(user: Reader) -> dict[str, Any]:
        """Return the model versions with their cards, which one is served, and the history of promotions."""
        with input_errors():
            current = app.models.current().id
        versions = [_card(version, current) for version in app.models.versions()]
        return {"versions": versions, "current": current, "history": app.models.history()}

    @router.post("/rollback")
    def rollback(user: Trainer) -> dict[str, Any]:
        """Undo the last promotion."""
        with input_errors(409):
            version = app.models.rollback()
        return _card(version, version.id)

    @router.post("/{version}/promote")
    def promote(user: Trainer, version: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make a version the one that is served."""
        who = with_user(params or {}, user).get("client_id") or user.username
        with _unknown_version(app, version):
            promoted = app.models.promote(version, f"promoted by {str(who)[:100]}")
        return _card(promoted, promoted.id)

    return router


def _maps(app: TumorLoopApp) -> APIRouter:
    router = APIRouter(prefix="/maps", tags=["Infer"])

    @router.get("/{map_id}/{name}")
    def get_map(user: Reader, map_id: str, name: str) -> FileResponse:
        """Return a map that an inference's reply named."""
        return FileResponse(app.maps.file(map_id, name), media_type="application/gzip", filename=name)

    return router


@contextmanager
def _unknown_version(app: TumorLoopApp, version: str) -> Iterator[None]:
    known = {found.id for found in app.models.versions()}
    with input_errors(422 if version in known else 404):
        yield


def _described(app: TumorLoopApp, case: Case) -> dict[str, Any]:
    store = app.datastore()
    final = store.labels.store.newest(case.id, "final")
    return {
        "id": case.id,
        "patient": case.patient,
        "modalities": {role: source.path.name for role, source in case.sources.items()},
        "source": "upload" if store.catalog.is_uploaded(case.id) else "studies",
        "labeled": store.labels.is_labeled(case),
        "label_version": final.version if final is not None else None,
        "has_source_label": case.label is not None,
        "split": store.labels.split.of(case.patient),
    }


def _provenance(label: LabelVersion) -> dict[str, Any]:
    return {"case": label.case, "version": label.version, **label.record, "notes": label.notes()}


def _card(version: ModelVersion, current: str) -> dict[str, Any]:
    card = version.card
    return {
        "id": version.id,
        "current": version.id == current,
        "parent": card.parent,
        "created": card.created,
        "description": card.description,
        "verdict": card.verdict,
        "card": card.model_dump(mode="json"),
    }
