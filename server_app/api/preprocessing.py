"""Routes to check what preprocessing has done to the volumes of a session or a case, and to correct the brain."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Response, UploadFile
from fastapi.responses import FileResponse

from server_app.api.dependencies import Router
from server_app.api.replies import ENDINGS, checked_ending, map_reply, volume_reply
from server_app.api.upload_route import UploadRoute
from server_app.api.uploaded_files import received
from server_app.cases.preprocessed import brain_of, cut_to, details_of, record_of
from server_app.common.read_limit import reading
from server_app.errors import input_errors, unknown
from server_app.inference.request import case_from_upload
from server_app.inference.sessions import State
from server_app.services import Services
from training.cases.case import Case
from training.images.read import read_volume


def routers(services: Services) -> list[APIRouter]:
    """Return these routes."""
    return [_of_cases(services), _of_sessions(services)]


def _of_cases(services: Services) -> APIRouter:
    router = Router(prefix="/cases/{case_id}", tags=["Cases"], route_class=UploadRoute)

    @router.get("/preprocessing")
    def get_preprocessing(case_id: str) -> dict[str, Any]:
        """Return what was done to the volumes of a case before it was stored, or for its last inference."""
        return _described(_folder(services, services.datastore.case(case_id)))

    @router.get("/brain")
    def get_brain(case_id: str, ending: str = ENDINGS[0]) -> Response:
        """Return the brain mask that the volumes of a case were stripped by."""
        case = services.datastore.case(case_id)
        return _brain_reply(_folder(services, case), f"{case.id}-brain", ending, services.workspace.incoming)

    return router


def _of_sessions(services: Services) -> APIRouter:
    router = Router(prefix="/session/{session_id}", tags=["Session"], route_class=UploadRoute)
    incoming = services.workspace.incoming

    @router.get("/preprocessing")
    def get_preprocessing(session_id: str) -> dict[str, Any]:
        """Return what the first inference has done to the volumes of a session."""
        sessions = services.sessions()
        with sessions.in_use(session_id):
            return _described(sessions.image(session_id), sessions.state(session_id))

    @router.get("/brain")
    def get_brain(session_id: str, ending: str = ENDINGS[0]) -> Response:
        """Return the brain mask that the volumes of a session were stripped by."""
        return _brain_reply(services.sessions().image(session_id), "brain", ending, incoming)

    @router.put("/brain")
    def put_brain(session_id: str, brain: Annotated[UploadFile, File()]) -> dict[str, Any]:
        """Cut the volumes of a session to an edited brain mask, in which parts were removed."""
        sessions = services.sessions()
        with sessions.in_use(session_id), received([brain], incoming, "brain") as (path,), input_errors():
            image = sessions.image(session_id)
            _require_brain(image)
            with tempfile.TemporaryDirectory(prefix="brain-", dir=incoming) as folder:
                target = Path(folder) / "preprocessed"
                with reading():
                    cut_to(image, read_volume(path), target)
                kept = sessions.replace_images(session_id, target)
            return _described(kept or image, sessions.state(session_id))

    @router.get("/volumes/{role}")
    def get_volume(session_id: str, role: str) -> Response:
        """Return one volume of a session as NRRD; after the first inference, as it was preprocessed."""
        sessions = services.sessions()
        with sessions.in_use(session_id), input_errors():
            case = case_from_upload(sessions.image(session_id), allow_missing=True)
            if role not in case.sources:
                raise unknown("role", f"There is no {role[:32]!r} in this session; it has {', '.join(case.sources)}.")
            return volume_reply(case, role, incoming, name=role)

    return router


def _folder(services: Services, case: Case) -> Path | None:
    """Return the folder with the preprocessed volumes of a case, if there are any."""
    return case.folder if record_of(case.folder) is not None else services.preprocessed.find(case)


def _described(folder: Path | None, state: State | None = None) -> dict[str, Any]:
    details = details_of(record_of(folder))
    known = state or (State.NONE if details is None else State.DONE)
    return {"state": known.value, "preprocessing": details}


def _require_brain(folder: Path | None) -> Path:
    file = brain_of(folder)
    if file is None:
        raise unknown("brain", "There is no brain mask: these volumes were not preprocessed, or not yet.")
    return file


def _brain_reply(folder: Path | None, name: str, ending: str, incoming: Path) -> Response:
    file, ending = _require_brain(folder), checked_ending(ending)
    if ending != ENDINGS[0]:
        return map_reply(file, name, incoming)
    return FileResponse(file, media_type="application/gzip", filename=f"{name}{ending}")
