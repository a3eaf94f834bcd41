"""MONAI Label's routes that store images and labels or send large files, replaced; see :mod:`.stock_inference`."""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import APIRouter, Body, File, Request, UploadFile
from monailabel.endpoints import activelearning
from monailabel.endpoints import datastore as stock_datastore

from server_app.api.dataset_download import DatasetDownload
from server_app.api.dependencies import Params, Router, client_of, user_name, with_user
from server_app.api.raw_uploads import Upload, preprocessor, uploaded
from server_app.api.upload_route import UploadRoute
from server_app.api.uploaded_files import parsed, received
from server_app.cases.uploads import order_of, whole_case
from server_app.common.identity import Role, require
from server_app.common.params import ignored
from server_app.errors import input_errors
from server_app.labels.submission import CHOICES, FINAL, OTHERS, Submission
from server_app.services import Services

logger = logging.getLogger(__name__)


def router(services: Services) -> APIRouter:
    """Return these routes."""
    router = Router(tags=["Datastore"], route_class=UploadRoute)
    store, incoming = services.datastore, services.workspace.incoming
    dataset = DatasetDownload(store)

    @router.put("/datastore/", include_in_schema=False)
    @router.put("/datastore/image")
    def add_image(
        sent: Request, file: Annotated[UploadFile, File()], image: str | None = None, params: Params = "{}"
    ) -> dict[str, Any]:
        """Store a 4D file, or a ZIP with a DICOM study, as a case; raw volumes are preprocessed first."""
        about = with_user(parsed(params))
        with (
            input_errors(),
            services.jobs.tracked(about.get("job"), client_of(sent, about)) as ticket,
            uploaded([file], incoming, about, field="file") as upload,
            preprocessor(services, about, ticket) as prepare,
        ):
            case = upload.study or whole_case(upload.files[0], order_of(about))
            name = image or (upload.files[0].name.split(".")[0] if upload.files else _name_of(upload))
            return {"image": store.add_case(name, case, about, prepare).id}

    @router.put("/datastore/label")
    def save_label(
        image: str, label: Annotated[UploadFile, File()], params: Params = "{}", tag: str = FINAL
    ) -> dict[str, Any]:
        """Check a label and keep it as a new version."""
        about = with_user(parsed(params))
        case = store.case(image)
        with input_errors():
            unused = ignored(about, CHOICES, OTHERS)
            submission = Submission.parse(tag or FINAL, about)
        with received([label], incoming, "label") as (path,):
            version, new = store.labels.submit(case, path, submission)
        logger.info("Label %s of case %s was submitted.", version.version, case.id)
        record = {name: version.record.get(name) for name in ("sha256", "split", "reference", "dice_against_model")}
        claimed_by = store.submitted(case.id, version.tag, submission.user)
        stored = {"image": case.id, "label": case.id, "version": version.version, "new": new, "ignored": unused}
        return {**stored, **record, **claimed_by}

    @router.get("/datastore/image")
    def download_image(image: str) -> Any:
        """Return the display volume of a case."""
        return stock_datastore.download_image(image)

    @router.put("/datastore/image/info")
    def put_image_info(image: str, info: Params = "{}") -> None:
        """Keep a client's notes on an image."""
        store.update_image_info(image, parsed(info, "info"))

    @router.put("/datastore/label/info")
    def put_label_info(label: str, tag: str, info: Params = "{}") -> None:
        """Keep a client's notes on a label."""
        store.update_label_info(label, tag, parsed(info, "info"))

    @router.get("/datastore/dataset")
    def download_dataset(limit_cases: int | None = None) -> Any:
        """Return the labeled cases as a ZIP file; for one client at a time."""
        return dataset.answer(limit_cases)

    @router.post("/activelearning/{strategy}")
    def sample(strategy: str, params: Annotated[dict[str, Any] | None, Body()] = None) -> dict[str, Any]:
        """Choose the next case to label."""
        about = with_user(params or {})
        if about.get("claim"):
            require(Role.ANNOTATOR, "claim", "claim a case")
        return dict(activelearning.sample(strategy, about, user_name()))

    return router


def _name_of(upload: Upload) -> str:
    """Return a name for a DICOM study without one: not that of the archive, which often is a patient's."""
    assert upload.study is not None
    return f"study-{upload.study.fingerprint()[:12]}"
