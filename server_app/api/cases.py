"""TumorLoop's own routes, beside MONAI Label's: cases with four files, label versions, model versions, maps, jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, File, Response, UploadFile
from fastapi.responses import FileResponse

from server_app.api.claims import claims_router
from server_app.api.mounting import put_first
from server_app.api.received import received
from server_app.api.replies import ENDINGS, checked_ending, labelmap_reply, map_reply, volume_reply
from server_app.api.stock_inference import Annotator, Reader, Settings, Trainer, sessions_of, with_user
from server_app.api.trainings import trainings
from server_app.cases.samples import make_sample
from server_app.common.removal_lock import while_present
from server_app.common.request_notes import note
from server_app.disk import StoringRoute
from server_app.errors import input_errors, refusal, unknown
from server_app.inference.session_files import session_case
from server_app.labels.answers import SESSION_ANSWER
from server_app.labels.store import LabelVersion
from training.cases.case import Case
from training.modalities import ROLES
from training.models.store import ModelVersion

if TYPE_CHECKING:
    from server_app.app import TumorLoopApp


def install(app: TumorLoopApp) -> None:
    """Add these routes to the server."""
    put_first(_cases(app), claims_router(app), _labels(app), _versions(app), _maps(app), _jobs(app), trainings(app))


def _cases(app: TumorLoopApp) -> APIRouter:
    router = APIRouter(tags=["Cases"], route_class=StoringRoute)

    @router.get("/cases")
    def list_cases(user: Reader) -> dict[str, Any]:
        """Return all cases, and what looks like one but cannot be used."""
        store = app.datastore()
        cases = [_described(app, case) for case in store.catalog.all().values()]
        return {"cases": cases, "problems": store.catalog.problems()}

    @router.put("/cases/{case_id}")
    def put_case(
        user: Annotator,
        case_id: str,
        files: Annotated[list[UploadFile] | None, File()] = None,
        session_id: str = "",
        client_id: str = "",
    ) -> dict[str, Any]:
        """Store four files as a case, or those of a session; their names tell the modalities."""
        facts = with_user({"client_id": client_id}, user)
        if bool(files) == bool(session_id):
            raise refusal(422, "files", "Send four files, or the id of a session that holds them, and not both.")
        if not files:
            return _described(app, _case_of_session(app, case_id, session_id, facts))
        with received(files, app.workspace.incoming) as paths:
            return _described(app, app.datastore().add_case(case_id, paths, facts))

    @router.get("/cases/{case_id}/volumes/{role}")
    def get_volume(user: Reader, case_id: str, role: str) -> Response:
        """Return one volume of a case as NRRD, whatever its format on the disk."""
        case = app.datastore().case(case_id)
        if role not in ROLES:
            raise unknown("role", f"There is no modality {role[:32]!r}; known are {', '.join(ROLES)}.")
        return volume_reply(case, role, app.workspace.incoming)

    @router.post("/samples")
    def post_sample(user: Annotator, params: Settings = None) -> dict[str, Any]:
        """Make a synthetic case with a tumor; takes some seconds."""
        store = app.datastore()
        return _described(app, make_sample(store, app.workspace.incoming, with_user(params or {}, user)))

    return router


def _labels(app: TumorLoopApp) -> APIRouter:
    router = APIRouter(prefix="/cases/{case_id}/labels", tags=["Labels"], route_class=StoringRoute)

    @router.get("")
    def list_labels(user: Reader, case_id: str) -> dict[str, Any]:
        """Return the versions of a case's label, oldest first, with their provenance."""
        store = app.datastore()
        labels = store.labels.store.versions(store.case(case_id).id)
        return {"labels": [_provenance(label) for label in labels]}

    @router.get("/{version}")
    def get_label(user: Reader, case_id: str, version: str, ending: str = ENDINGS[0]) -> Response:
        """Return one version of a case's label."""
        store = app.datastore()
        case, ending = store.case(case_id), checked_ending(ending)
        for label in store.labels.store.versions(case.id):
            if label.version == version and ending == ENDINGS[0]:
                return FileResponse(label.path, filename=f"{case.id}-{version}.nii.gz")
            if label.version == version:
                return labelmap_reply(label.path, f"{case.id}-{version}", app.workspace.incoming)
        raise unknown("version", f"Case {case.id} has no label {version[:32]!r}.")

    return router


def _versions(app: TumorLoopApp) -> APIRouter:
    router = APIRouter(prefix="/versions", tags=["Model versions"], route_class=StoringRoute)

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
        note(model_version=version.id)
        return _card(version, version.id)

    @router.post("/{version}/promote")
    def promote(user: Trainer, version: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make a version the one that is served."""
        who = with_user(params or {}, user).get("client_id") or user.username
        with _unknown_version(app, version):
            promoted = app.models.promote(version, f"promoted by {str(who)[:100]}")
        note(model_version=promoted.id)
        return _card(promoted, promoted.id)

    return router


def _maps(app: TumorLoopApp) -> APIRouter:
    router = APIRouter(prefix="/maps", tags=["Infer"], route_class=StoringRoute)

    @router.get("/{map_id}/{name}")
    def get_map(user: Reader, map_id: str, name: str, ending: str = ENDINGS[0]) -> Response:
        """Return a map that an inference's reply named."""
        file, ending = app.maps.file(map_id, name), checked_ending(ending)
        if ending != ENDINGS[0]:
            return map_reply(file, name.removesuffix(ENDINGS[0]), app.workspace.incoming)
        return FileResponse(file, media_type="application/gzip", filename=name)

    return router


def _jobs(app: TumorLoopApp) -> APIRouter:
    # Coroutines, because nothing in them waits: a cancellation must not queue for a thread behind what it cancels.
    router = APIRouter(prefix="/jobs", tags=["Infer"])

    @router.get("/{job_id}")
    async def get_job(user: Reader, job_id: str) -> dict[str, Any]:
        """Tell how far an inference is that was started with the parameter ``job``."""
        return app.jobs.describe(job_id)

    @router.delete("/{job_id}")
    async def cancel_job(user: Reader, job_id: str) -> dict[str, Any]:
        """Cancel an inference, waiting or computing; whoever waits for it is answered with 499."""
        return app.jobs.cancel(job_id)

    return router


def _case_of_session(app: TumorLoopApp, case_id: str, session_id: str, facts: dict[str, Any]) -> Case:
    """Store a session's volumes as a case, with the model's answer for them."""
    sessions, store = sessions_of(app), app.datastore()
    files = session_case(sessions.image(session_id), "session_id").sources.values()
    case = store.add_case(case_id, [source.path for source in files], facts)
    with while_present(app.workspace, case):
        store.labels.answers.take_over(case.id, sessions.answers(session_id), SESSION_ANSWER)
    return case


@contextmanager
def _unknown_version(app: TumorLoopApp, version: str) -> Iterator[None]:
    known = {found.id for found in app.models.versions()}
    with input_errors(422 if version in known else 404):
        yield


def _described(app: TumorLoopApp, case: Case) -> dict[str, Any]:
    store = app.datastore()
    final, claim = store.labels.store.newest(case.id, "final"), store.claims.of(case.id)
    return {
        "id": case.id,
        "patient": case.patient,
        "modalities": {role: source.path.name for role, source in case.sources.items()},
        "source": "upload" if store.catalog.is_uploaded(case.id) else "studies",
        "labeled": store.labels.is_labeled(case),
        "label_version": final.version if final is not None else None,
        "has_source_label": case.label is not None,
        "split": store.labels.split.of(case.patient),
        "claim": claim.to_json() if claim is not None else None,
    }


def _provenance(label: LabelVersion) -> dict[str, Any]:
    return {"case": label.case, "version": label.version, **label.provenance, "notes": label.notes()}


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
