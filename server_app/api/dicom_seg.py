"""DICOM SEG: results, stored labels, and labels of a session, as segmentations of the DICOM series that was sent."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, File, Response, UploadFile

from server_app.api.dependencies import Params, Router, with_user
from server_app.api.upload_route import UploadRoute
from server_app.api.uploaded_files import parsed, received
from server_app.common.params import ignored
from server_app.common.read_limit import reading
from server_app.common.request_notes import note
from server_app.errors import input_errors
from server_app.inference.session_files import session_case
from server_app.inference.task import InferenceResult
from server_app.labels.check import check_label
from server_app.labels.store import LabelVersion
from server_app.labels.submission import CHOICES, FINAL, OTHERS, Submission
from server_app.services import Services
from training.cases.case import Case
from training.cases.dicom_source import series_headers
from training.dicom.seg import SEG_FORMATS, Origin, seg_bytes
from training.errors import InputError
from training.images.grid import Volume
from training.images.read import read_labelmap


class InferOutput(str, Enum):
    """What an inference replies: MONAI Label's choices, and DICOM SEG as a label map."""

    image = "image"
    json = "json"
    all = "all"
    dicom_seg = "dicom_seg"
    dicom_seg_labelmap = "dicom_seg_labelmap"


class SegOutput(str, Enum):
    """The kinds of DICOM SEG."""

    dicom_seg = "dicom_seg"
    dicom_seg_labelmap = "dicom_seg_labelmap"


def router(services: Services) -> APIRouter:
    """Return the route for labels of a session."""
    router = Router(prefix="/session", tags=["Session"], route_class=UploadRoute)

    @router.post("/{session_id}/dicom_seg")
    def label_as_seg(session_id: str, label: Annotated[UploadFile, File()], params: Params = "{}") -> Response:
        """Return a labelmap of a session's volumes as DICOM SEG; it is not stored."""
        about = with_user(parsed(params))
        with input_errors():
            ignored(about, (*CHOICES, "output"), OTHERS)
            output = _seg_output(about.get("output"))
            submission = Submission.parse(FINAL, about)
        case = session_case(services.sessions().image(session_id), "session_id")
        with received([label], services.workspace.incoming, "label") as (path,), input_errors(), reading():
            checked = check_label(
                path,
                case,
                submission.label_info,
                reference=submission.reference,
                allow_empty=True,
                label_scheme=submission.label_scheme,
            )
        origin = Origin(submission.model_version, edited=True, author=submission.user or "")
        return seg_response(checked.volume, case, checked.reference, origin, output, "session")

    return router


def result_response(result: InferenceResult, case: Case, output: SegOutput) -> Response:
    """Return a response with the result of an inference, whose file is deleted."""
    try:
        with input_errors():
            labelmap = read_labelmap(result.file)
    finally:
        result.file.unlink(missing_ok=True)
    origin = Origin(result.params["model_version"], time=result.params.get("answer_time") or "")
    return seg_response(labelmap, case, result.params["reference"], origin, output, case.id)


def label_response(label: LabelVersion, case: Case, output: SegOutput) -> Response:
    """Return a response with a stored label."""
    record = label.record
    with input_errors():
        labelmap = read_labelmap(label.path)
    origin = Origin(
        record.get("model_version"),
        edited=record.get("source") != "model" or not record.get("model_version"),
        author=str(record.get("user") or ""),
        time=str(record.get("time") or ""),
    )
    return seg_response(labelmap, case, str(record["reference"]), origin, output, f"{case.id}-{label.version}")


def seg_response(
    labelmap: Volume, case: Case, reference: str, origin: Origin, output: SegOutput, name: str
) -> Response:
    """Return a response with a labelmap as DICOM SEG.

    Args:
        labelmap: With TumorLoop's values.
        case: With the DICOM series, or their headers.
        reference: The role on whose grid the labelmap lies.
        origin: Who made it.
        output: Which kind.
        name: Of the file, without its ending.

    Raises:
        HTTPException: 422 if no series is known, or the labelmap does not lie on it.
    """
    with input_errors(), reading():
        try:
            headers = series_headers(case, reference)
            content = seg_bytes(labelmap, headers, origin=origin, encoding=SEG_FORMATS[output.value])
        except InputError as error:
            raise InputError(
                error.message, field="output" if error.field in ("format", "dicom") else error.field
            ) from error
    note(model_version=origin.model_version)
    disposition = f'attachment; filename="{name}.dcm"'
    return Response(content, media_type="application/dicom", headers={"Content-Disposition": disposition})


def _seg_output(value: Any) -> SegOutput:
    if value in (None, ""):
        return SegOutput.dicom_seg
    if value not in SEG_FORMATS:
        raise InputError(f"output must be {' or '.join(SEG_FORMATS)}, not {str(value)[:40]!r}.", field="output")
    return SegOutput(value)
