"""MONAI Label's routes for inferences and sessions, replaced: same paths, same parameters, same replies.

MONAI Label's own are ``async def`` around blocking code, so nothing else is answered in the meantime; these are plain
functions, which FastAPI runs in its thread pool. They also check what MONAI Label passes on unchecked: JSON, ids, file
names, and parameters that would replace the model or the image. Where nothing has to be checked they call its function.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, File, Request, UploadFile
from monailabel.endpoints import session
from monailabel.endpoints.infer import send_response

from server_app.api.dependencies import Params, Router, client_of, with_user
from server_app.api.dicom_seg import InferOutput, SegOutput, result_response
from server_app.api.raw_uploads import Upload, uploaded
from server_app.api.upload_route import UploadRoute
from server_app.api.uploaded_files import parsed, received
from server_app.cases.dicom_study import SERIES
from server_app.common.identity import Role, require
from server_app.common.params import ignored
from server_app.common.request_notes import note
from server_app.errors import input_errors, refusal, unknown
from server_app.inference.queue import Ticket
from server_app.inference.request import (
    CHOICES,
    OTHERS,
    InferenceOptions,
    InferenceRequest,
    case_from_upload,
    wants_label,
)
from server_app.inference.session_files import complete, replace_images, session_case, session_volumes
from server_app.inference.sessions import CheckedSessions, State
from server_app.inference.task import InferenceResult
from server_app.services import Services
from training.cases.case import Case
from training.cases.dicom_source import has_series
from training.dicom.seg import SEG_FORMATS
from training.errors import InputError
from training.hashes import file_sha256
from training.spans import span


def router(services: Services) -> APIRouter:
    """Return these routes."""
    router = Router(tags=["Infer"], route_class=UploadRoute)

    @router.post("/infer/{model}")
    def infer(
        background_tasks: BackgroundTasks,
        sent: Request,
        model: str,
        image: str = "",
        session_id: str = "",
        params: Params = "{}",
        file: Annotated[UploadFile | None, File()] = None,
        label: Annotated[UploadFile | None, File()] = None,
        output: InferOutput | None = None,
    ) -> Any:
        """Segment a case of the datastore, a session's volumes, or a 4D file sent along."""
        services.require_model(model)
        if output in SEG_FORMATS:
            _require_series(services, image, session_id)
        given = with_user(parsed(params))
        with input_errors():
            unused = ignored(given, CHOICES, OTHERS) + ["label"] * (label is not None)
        if wants_label(given):
            require(Role.ANNOTATOR, "save_label", "store labels")
        with services.jobs.tracked(given.get("job"), client_of(sent, given)) as ticket:
            result = _infer(services, given, ticket, image, session_id, file)
        result.params["ignored"] = unused
        note(model_version=result.params["model_version"], answer_sha256=file_sha256(result.file))
        if output in SEG_FORMATS:
            return result_response(result, _case(services, image, session_id), SegOutput(output.value))
        return send_response(services.datastore, result.to_monai_label(), output, background_tasks)

    @router.put("/session/")
    def create_session(
        files: Annotated[list[UploadFile], File()],
        uncompress: bool = False,
        expiry: int = 0,
        allow_missing: bool = False,
        base: str = "",
        params: Params = "{}",
        brain: Annotated[UploadFile | None, File()] = None,
        dicom: Annotated[UploadFile | None, File()] = None,
    ) -> dict[str, Any]:
        """Keep four files (or one 4D file, a DICOM study, or fewer volumes, if allowed) until they expire.

        With ``base``, an earlier session, the volumes that are not sent are taken from there. A DICOM study is a ZIP or
        several files; ``roles`` in ``params`` names the series that its headers leave unclear. ``brain`` is a mask to
        use instead of finding the brain, ``dicom`` a ZIP with the DICOM files of the reference, kept for their headers.
        """
        sessions = services.sessions()
        given, incoming = parsed(params), services.workspace.incoming
        with (
            input_errors(),
            uploaded(files, incoming, given, allow_missing=allow_missing, brain=brain, dicom=dicom) as upload,
        ):
            if uncompress and upload.study is None:
                raise refusal(422, "uncompress", "Only a ZIP with a DICOM study is unpacked. Send the four files.")
            if base:
                _complete(sessions, upload, base)
            with span("store"):
                image = upload.as_session(in_folder=bool(base))
                case_from_upload(image, allow_missing=allow_missing).read_headers()
                session_id, about = sessions.add_session(str(image), max(0, expiry))
        found = {"series": upload.series, "roles": upload.roles}
        return {"session_id": session_id, "session_info": about.to_json(), **found}

    @router.get("/session/{session_id}")
    def get_session(session_id: str, update_ts: bool = False, image: bool = False) -> Any:
        """Describe a session, or return its one file."""
        if image and services.sessions().image(session_id).is_dir():
            raise unknown("image", "This session holds several files; none of them represents it.")
        return session.get_session(session_id, update_ts, image)

    return router


def _case(services: Services, image: str, session_id: str) -> Case:
    """Return a session's volumes, or a case of the datastore."""
    if session_id:
        return session_case(services.sessions().image(session_id), "session_id")
    return services.datastore.case(image, allow_missing=True)


def _require_series(services: Services, image: str, session_id: str) -> None:
    """Refuse to compute a DICOM SEG of volumes that are not known to be DICOM series."""
    if not (image or session_id) or not has_series(_case(services, image, session_id)):
        raise refusal(
            422,
            "output",
            "A DICOM SEG refers to the images of a DICOM series, and nothing is known of one here. Send the DICOM "
            "study as a session or case, or use result_extension .seg.nrrd.",
        )


def _infer(
    services: Services, given: dict[str, Any], ticket: Ticket, image: str, session_id: str, file: UploadFile | None
) -> InferenceResult:
    """Segment a session's volumes, a file sent along, or a case of the datastore."""
    with input_errors():
        options = InferenceOptions.parse(given)

        if session_id:
            return _infer_session(services, given, options, ticket, session_id)
        if file is not None:
            with received([file], services.workspace.incoming, "file") as (path,):
                case = case_from_upload(path, allow_missing=options.allow_missing, params=given)
                return services.segmentation(InferenceRequest(case, options, ticket))
        return services.segmentation(InferenceRequest.for_case(services.datastore, image, options, ticket))


def _infer_session(
    services: Services, given: dict[str, Any], options: InferenceOptions, ticket: Ticket, session_id: str
) -> InferenceResult:
    """Segment a session's volumes; raw ones are replaced by preprocessed ones."""
    sessions = services.sessions()

    def keep(folder: Path | None) -> None:
        if folder is None:
            sessions.examined(session_id)
        else:
            replace_images(sessions, session_id, folder, examined=options.preprocessing.as_scanned is not False)

    with sessions.in_use(session_id):
        found = session_volumes(sessions, session_id, allow_missing=options.allow_missing, params=given)
        return services.segmentation(
            InferenceRequest(
                found.case,
                options,
                ticket,
                sessions.predictions(session_id),
                record=found.record,
                examined=found.examined,
                brain=found.brain,
                headers=found.headers,
                keep=keep,
            )
        )


def _complete(sessions: CheckedSessions, upload: Upload, base: str) -> None:
    """Add the volumes that were not sent from an earlier session; 404 if it does not have them as they were sent."""
    with sessions.in_use(base):
        image = sessions.image(base, "base")
        if upload.study is not None:
            raise InputError("A DICOM study is complete; it cannot be based on another session.", field="base")
        if sessions.state(base) is State.DONE or (image / SERIES).is_file():
            raise unknown("base", "What was sent for that session was preprocessed and deleted. Send all files again.")
        complete(upload.folder, upload.files, image)
