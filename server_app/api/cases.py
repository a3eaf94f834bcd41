"""TumorLoop's own routes: cases of four files, label versions, model versions, maps and jobs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Request, Response, UploadFile
from fastapi.responses import FileResponse

from server_app.api.dependencies import Params, Router, Settings, client_of, user_name, with_user
from server_app.api.dicom_seg import SegOutput, label_response
from server_app.api.raw_uploads import UPLOAD_CHOICES, UPLOAD_OTHERS, preprocessor, uploaded
from server_app.api.replies import ENDINGS, checked_ending, labelmap_reply, map_reply, volume_reply
from server_app.api.upload_route import UploadRoute
from server_app.api.uploaded_files import parsed
from server_app.cases.preprocessing_options import PreprocessingOptions
from server_app.cases.samples import make_sample
from server_app.common.params import ignored
from server_app.common.removal_lock import while_present
from server_app.common.request_notes import note
from server_app.errors import input_errors, refusal, unknown
from server_app.inference.queue import Ticket
from server_app.inference.session_files import replace_images, session_case, session_volumes
from server_app.labels.predictions import SESSION_PREDICTION
from server_app.labels.store import LabelVersion
from server_app.services import Services
from training.cases.case import Case
from training.modalities import ROLES
from training.models.store import ModelVersion
from training.retraining.before_after import PICTURES


def routers(services: Services) -> list[APIRouter]:
    """Return these routes."""
    return [_cases(services), _labels(services), _versions(services), _maps(services), _jobs(services)]


def _cases(services: Services) -> APIRouter:
    router = Router(tags=["Cases"], route_class=UploadRoute)

    @router.get("/cases")
    def list_cases() -> dict[str, Any]:
        """Return all cases, what looks like one but cannot be used, and of which patients the names are not clear."""
        store = services.datastore
        cases = [_described(services, case) for case in store.catalog.all().values()]
        doubtful = store.catalog.doubtful_patients()
        problems = [*store.catalog.problems(), *store.labels.problems()]
        return {"cases": cases, "problems": problems, "doubtful_patients": doubtful}

    @router.put("/cases/{case_id}")
    def put_case(
        sent: Request,
        case_id: str,
        files: Annotated[list[UploadFile] | None, File()] = None,
        session_id: str = "",
        client_id: str = "",
        params: Params = "{}",
        brain: Annotated[UploadFile | None, File()] = None,
        dicom: Annotated[UploadFile | None, File()] = None,
    ) -> dict[str, Any]:
        """Store four files, a DICOM study, or the volumes of a session as a case; raw ones are preprocessed first."""
        given = parsed(params)
        facts = with_user({**given, "client_id": client_id or given.get("client_id")})
        if bool(files) == bool(session_id):
            raise refusal(422, "files", "Send four files, or the id of a session that holds them, and not both.")
        with input_errors(), services.jobs.tracked(facts.get("job"), client_of(sent, facts)) as ticket:
            ignored(facts, UPLOAD_CHOICES, UPLOAD_OTHERS)
            if not files:
                return _described(services, _case_of_session(services, case_id, session_id, facts, ticket))
            with (
                uploaded(files, services.workspace.incoming, facts, brain=brain, dicom=dicom) as upload,
                preprocessor(services, facts, ticket, upload.brain, upload.headers) as prepare,
            ):
                case = services.datastore.add_case(case_id, upload.study or upload.files, facts, prepare)
                return _described(services, case)

    @router.get("/cases/{case_id}/volumes/{role}")
    def get_volume(case_id: str, role: str) -> Response:
        """Return one volume of a case as NRRD, whatever its format on disk."""
        case = services.datastore.case(case_id)
        if role not in ROLES:
            raise unknown("role", f"There is no modality {role[:32]!r}; known are {', '.join(ROLES)}.")
        return volume_reply(case, role, services.workspace.incoming)

    @router.post("/samples")
    def post_sample(params: Settings = None) -> dict[str, Any]:
        """Make a synthetic case with a tumor; takes some seconds."""
        store = services.datastore
        return _described(services, make_sample(store, services.workspace.incoming, with_user(params or {})))

    return router


def _labels(services: Services) -> APIRouter:
    router = Router(prefix="/cases/{case_id}/labels", tags=["Labels"], route_class=UploadRoute)

    @router.get("")
    def list_labels(case_id: str) -> dict[str, Any]:
        """Return the versions of a case's label, oldest first, with their provenance."""
        store = services.datastore
        labels = store.labels.store.versions(store.case(case_id).id)
        return {"labels": [_provenance(label) for label in labels]}

    @router.get("/{version}")
    def get_label(case_id: str, version: str, ending: str = ENDINGS[0], output: SegOutput | None = None) -> Response:
        """Return one version of a case's label, as a labelmap or as DICOM SEG."""
        store = services.datastore
        case, ending = store.case(case_id), checked_ending(ending)
        for label in store.labels.store.versions(case.id):
            if label.version == version and output is not None:
                return label_response(label, case, output)
            if label.version == version and ending == ENDINGS[0]:
                return FileResponse(label.path, filename=f"{case.id}-{version}.nii.gz")
            if label.version == version:
                return labelmap_reply(label.path, f"{case.id}-{version}", services.workspace.incoming)
        raise unknown("version", f"Case {case.id} has no label {version[:32]!r}.")

    return router


def _versions(services: Services) -> APIRouter:
    router = Router(prefix="/versions", tags=["Model versions"], route_class=UploadRoute)

    @router.get("")
    def list_versions() -> dict[str, Any]:
        """Return the model versions with their cards, which one is served, and the history of promotions."""
        with input_errors():
            current = services.models.current().id
        versions = [_card(version, current) for version in services.models.versions()]
        return {"versions": versions, "current": current, "history": services.models.history()}

    @router.get("/{version}/pictures/{name}")
    def get_picture(version: str, name: str) -> Response:
        """Return a picture of a case before or after the training of a version, as its card names it."""
        with _unknown_version(services, version):
            found = services.models.get(version)
        if name not in PICTURES or not (found.folder / name).is_file():
            raise unknown("picture", f"Version {found.id} has no picture {name[:32]!r}.")
        note(model_version=found.id)
        return FileResponse(found.folder / name, media_type="image/png", filename=f"{found.id}-{name}")

    @router.post("/rollback")
    def rollback() -> dict[str, Any]:
        """Undo the last promotion."""
        with input_errors(409):
            version = services.models.rollback()
        note(model_version=version.id)
        return _card(version, version.id)

    @router.post("/{version}/promote")
    def promote(version: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make a version the one that is served."""
        who = with_user(params or {}).get("client_id") or user_name()
        with _unknown_version(services, version):
            promoted = services.models.promote(version, f"promoted by {str(who)[:100]}")
        note(model_version=promoted.id)
        return _card(promoted, promoted.id)

    return router


def _maps(services: Services) -> APIRouter:
    router = Router(prefix="/maps", tags=["Infer"], route_class=UploadRoute)

    @router.get("/{map_id}/{name}")
    def get_map(map_id: str, name: str, ending: str = ENDINGS[0]) -> Response:
        """Return a map that an inference's reply names."""
        file, ending = services.maps.file(map_id, name), checked_ending(ending)
        if ending != ENDINGS[0]:
            return map_reply(file, name.removesuffix(ENDINGS[0]), services.workspace.incoming)
        return FileResponse(file, media_type="application/gzip", filename=name)

    return router


def _jobs(services: Services) -> APIRouter:
    # Coroutines, since nothing in them blocks: a cancellation must not wait for a thread behind what it cancels.
    router = Router(prefix="/jobs", tags=["Infer"])

    @router.get("/{job_id}")
    async def get_job(job_id: str) -> dict[str, Any]:
        """Return the progress of an inference that was started with the parameter ``job``."""
        return services.jobs.describe(job_id)

    @router.delete("/{job_id}")
    async def cancel_job(job_id: str) -> dict[str, Any]:
        """Cancel an inference, waiting or computing; its own request is answered with 499."""
        return services.jobs.cancel(job_id)

    return router


def _case_of_session(services: Services, case_id: str, session_id: str, facts: dict[str, Any], ticket: Ticket) -> Case:
    """Store a session's volumes as a case, with the model's segmentation of them; raw ones are preprocessed first."""
    sessions, store = services.sessions(), services.datastore
    examined = PreprocessingOptions.parse(facts).as_scanned is not False

    def place(folder: Path) -> Path:
        kept = replace_images(sessions, session_id, folder, examined=examined)
        if kept is None:
            raise unknown("session_id", "That session has just expired. Send the files again.")
        return kept

    with sessions.in_use(session_id):
        image = sessions.image(session_id, "session_id")
        case = session_case(image, "session_id")
        found = session_volumes(sessions, session_id, allow_missing=True)
        with preprocessor(services, facts, ticket, found.brain, found.headers, place) as prepare:
            case = store.add_case(case_id, case, facts, None if found.examined else prepare)
        with while_present(services.workspace, case):
            store.labels.predictions.take_over(case.id, sessions.predictions(session_id), SESSION_PREDICTION)
    return case


@contextmanager
def _unknown_version(services: Services, version: str) -> Iterator[None]:
    known = {found.id for found in services.models.versions()}
    with input_errors(422 if version in known else 404):
        yield


def _described(services: Services, case: Case) -> dict[str, Any]:
    store = services.datastore
    final, claim = store.labels.store.newest(case.id, "final"), store.claims.of(case.id)
    return {
        "id": case.id,
        "patient": case.patient,
        "modalities": {role: source.name for role, source in case.sources.items()},
        "not_used": [path.name for path in case.unused],
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
        "outcome": card.metrics.get("outcome"),
        "card": card.model_dump(mode="json"),
    }
