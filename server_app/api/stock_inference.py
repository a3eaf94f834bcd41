"""MONAI Label's routes that must not stay as they are: same paths, same parameters, same replies.

MONAI Label's own are ``async def`` around blocking code, so that nothing else is answered meanwhile; these are plain
functions, which FastAPI runs in its thread pool. And they check what MONAI Label passes on unseen: JSON, ids, file
names, parameters that would replace the model or the image. They stand before MONAI Label's in the table of routes;
where nothing is to be checked they call its function.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Body, Depends, File, Form, Request, UploadFile
from monailabel.config import settings
from monailabel.endpoints import activelearning, info, session
from monailabel.endpoints import datastore as stock_datastore
from monailabel.endpoints.infer import ResultType, send_response
from monailabel.endpoints.user.auth import RBAC, User

from server_app.api.clients import client_of
from server_app.api.dataset_download import DatasetDownload
from server_app.api.mounting import put_first
from server_app.api.received import parsed, received
from server_app.common.identity import Role, current, require
from server_app.common.params import flag, user_of
from server_app.common.request_notes import note
from server_app.disk import StoringRoute
from server_app.errors import input_errors, refusal, unknown
from server_app.inference.queue import Ticket
from server_app.inference.session_files import complete
from server_app.inference.sessions import CheckedSessions
from server_app.inference.task import case_at
from server_app.limits.files import check_endings
from training.hashes import file_sha256
from training.images.read import read_header

if TYPE_CHECKING:
    from server_app.app import TumorLoopApp

#: What a request's ``params`` may not set: the URL and the server do.
_RESERVED = frozenset(
    {"model", "image", "session", "session_id", "label", "case", "answer", "description", "job", "ticket"}
)

Reader = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]
Annotator = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]
Trainer = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))]
Params = Annotated[str, Form()]
Settings = Annotated[dict[str, Any] | None, Body()]


def install(app: TumorLoopApp) -> None:
    """Put these routes before MONAI Label's."""
    put_first(_inference(app), _images(app), _training(app))


def with_user(params: dict[str, Any], user: User) -> dict[str, Any]:
    """Add who sends a request: the authenticated user, or else what the client calls itself."""
    name = current().name or (user.username if settings.MONAI_LABEL_AUTH_ENABLE else "")
    return {**params, "client_id": name} if name else params


def _inference(app: TumorLoopApp) -> APIRouter:
    router = APIRouter(tags=["Infer"], route_class=StoringRoute)

    @router.post("/infer/{model}")
    def infer(
        background_tasks: BackgroundTasks,
        sent: Request,
        user: Reader,
        model: str,
        image: str = "",
        session_id: str = "",
        params: Params = "{}",
        file: Annotated[UploadFile | None, File()] = None,
        label: Annotated[UploadFile | None, File()] = None,
        output: ResultType | None = None,
    ) -> Any:
        """Segment a case of the datastore, a session's volumes, or a 4D file sent along."""
        app.require_model(model)
        if output == ResultType.dicom_seg:
            raise refusal(422, "output", "DICOM SEG is not offered. Use result_extension .seg.nrrd.")
        wishes = parsed(params)
        if wishes.get("save_label") in (True, "true"):
            require(Role.ANNOTATOR, "save_label", "store labels")
        request = with_user({name: value for name, value in wishes.items() if name not in _RESERVED}, user)
        with app.jobs.tracked(wishes.get("job"), client_of(sent, wishes)) as ticket:
            result = _infer(app, {**request, "model": model, "image": image}, ticket, session_id, file)
        note(model_version=result["params"]["model_version"], answer_sha256=file_sha256(Path(result["file"])))
        return send_response(app.datastore(), result, output, background_tasks)

    @router.put("/session/")
    def create_session(
        user: Reader,
        files: Annotated[list[UploadFile], File()],
        uncompress: bool = False,
        expiry: int = 0,
        allow_missing: bool = False,
        base: str = "",
    ) -> dict[str, Any]:
        """Keep four files (or one 4D file; or fewer volumes, if allowed) for inferences, until they expire.

        With ``base``, an earlier session, the volumes that are not sent are taken from there.
        """
        sessions = sessions_of(app)
        if uncompress:
            raise refusal(422, "uncompress", "Archives are not unpacked. Send the four files themselves.")
        with received(files, app.workspace.incoming) as paths, input_errors():
            check_endings(paths)
            folder = paths[0].parent
            if base:
                complete(folder, paths, sessions.image(base, "base"))
            image = folder if base or len(paths) > 1 else paths[0]
            for source in case_at(image, {"allow_missing": allow_missing}).sources.values():
                read_header(source.path)
            session_id, about = sessions.add_session(str(image), max(0, expiry))
        return {"session_id": session_id, "session_info": about.to_json()}

    @router.get("/session/{session_id}")
    def get_session(user: Reader, session_id: str, update_ts: bool = False, image: bool = False) -> Any:
        """Describe a session, or return its one file."""
        if image and sessions_of(app).image(session_id).is_dir():
            raise unknown("image", "This session holds several files; none of them stands for it.")
        return session.get_session(session_id, update_ts, image)

    return router


def _images(app: TumorLoopApp) -> APIRouter:
    router = APIRouter(tags=["Datastore"], route_class=StoringRoute)
    dataset = DatasetDownload(app.datastore())

    @router.put("/datastore/", include_in_schema=False)
    @router.put("/datastore/image")
    def add_image(
        user: Annotator, file: Annotated[UploadFile, File()], image: str | None = None, params: Params = "{}"
    ) -> dict[str, Any]:
        """Store a 4D file as a case."""
        about = with_user(parsed(params), user)
        with received([file], app.workspace.incoming, "file") as (path,):
            name = image or path.name.split(".")[0]
            return {"image": app.datastore().add_image(name, str(path), about)}

    @router.put("/datastore/label")
    def save_label(
        user: Annotator,
        image: str,
        label: Annotated[UploadFile, File()],
        params: Params = "{}",
        tag: str = "final",
    ) -> dict[str, Any]:
        """Check a label and keep it as a new version."""
        about = with_user(parsed(params), user)
        store = app.datastore()
        case = store.case(image)
        with received([label], app.workspace.incoming, "label") as (path,):
            version, new = store.labels.submit(case, path, tag or "final", about)
        app.on_save_label(case.id, version.version)
        record = {name: version.record.get(name) for name in ("sha256", "split", "reference", "dice_against_model")}
        claimed_by = store.submitted(case.id, version.tag, user_of(about))
        return {"image": case.id, "label": case.id, "version": version.version, "new": new, **record, **claimed_by}

    @router.get("/datastore/image")
    def download_image(user: Reader, image: str) -> Any:
        """Return the display volume of a case."""
        return stock_datastore.download_image(image)

    @router.put("/datastore/image/info")
    def put_image_info(user: Annotator, image: str, info: Params = "{}") -> None:
        """Keep what a client notes about an image."""
        app.datastore().update_image_info(image, parsed(info, "info"))

    @router.put("/datastore/label/info")
    def put_label_info(user: Annotator, label: str, tag: str, info: Params = "{}") -> None:
        """Keep what a client notes about a label."""
        app.datastore().update_label_info(label, tag, parsed(info, "info"))

    @router.get("/datastore/dataset")
    def download_dataset(user: Annotator, limit_cases: int | None = None) -> Any:
        """Return the labeled cases as a ZIP file; for one client at a time."""
        return dataset.answer(limit_cases)

    @router.post("/activelearning/{strategy}")
    def sample(user: Reader, strategy: str, params: Annotated[dict[str, Any] | None, Body()] = None) -> dict[str, Any]:
        """Choose the next case to label."""
        about = with_user(params or {}, user)
        if about.get("claim"):
            require(Role.ANNOTATOR, "claim", "claim a case")
        return dict(activelearning.sample(strategy, about, user.username))

    return router


def _training(app: TumorLoopApp) -> APIRouter:
    router = APIRouter(tags=["Train"], route_class=StoringRoute)

    @router.post("/train/{model}")
    def run_model(
        user: Trainer, model: str, params: Settings = None, run_sync: bool = False, enqueue: bool = False
    ) -> dict[str, Any]:
        """Start a training."""
        return app.trainings.start(model, with_user(params or {}, user), enqueue=enqueue)

    @router.post("/train/", include_in_schema=False)
    def run_all(user: Trainer, params: Settings = None, run_sync: bool = False) -> dict[str, Any]:
        """Start the one training there is, with MONAI Label's reply for all of them."""
        return {
            name: {"result": app.trainings.start(name, with_user(params or {}, user), enqueue=True), "detail": None}
            for name in app.trainer_names()
        }

    @router.delete("/train/")
    def stop(user: Trainer) -> Any:
        """Stop the training under way; it can go on later."""
        return app.trainings.stop()

    @router.get("/info/")
    def describe(user: Reader) -> dict[str, Any]:
        """Describe the server."""
        who = current()
        return {**info.app_info(), "access": {"tokens": who.tokens, "user": who.name, "role": who.role.title}}

    @router.post("/reload", include_in_schema=False)
    def reload(user: Reader) -> dict[str, Any]:
        """Look for new cases; MONAI Label would build the app a second time."""
        app.datastore().refresh()
        return {}

    return router


def sessions_of(app: TumorLoopApp) -> CheckedSessions:
    """Return the server's sessions.

    Raises:
        HTTPException: 406 if it keeps none.
    """
    sessions = app.sessions()
    if not isinstance(sessions, CheckedSessions):
        raise refusal(406, "session", "This server keeps no sessions.")
    return sessions


def _infer(
    app: TumorLoopApp, request: dict[str, Any], ticket: Ticket, session_id: str, file: UploadFile | None
) -> dict[str, Any]:
    """Run an inference on a session's volumes, on a file sent along, or on a case of the datastore."""
    if session_id:
        sessions = sessions_of(app)
        request["image"] = str(sessions.image(session_id))
        return app.infer(request, ticket=ticket, answers=sessions.answers(session_id))
    if file is not None:
        with received([file], app.workspace.incoming, "file") as (path,):
            return app.infer({**request, "image": str(path)}, ticket=ticket)
    with input_errors():
        allow_missing = flag(request, "allow_missing")
    request["image"] = app.datastore().case(request["image"], allow_missing=allow_missing).id
    return app.infer(request, ticket=ticket)
