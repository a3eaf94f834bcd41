"""Segmenting volumes and submitting labels, as plain functions that run on a worker thread.

They take a client, copies of the volumes and the job's reporter, and return arrays: nothing here touches MRML or Qt.
Arrays are ``(k, j, i)``, ``ijk_to_ras`` is a 4x4 float64 matrix in millimeters.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from TumorLoopLib.client import InferResult, TumorLoopClient, new_job_id
from TumorLoopLib.client.errors import BadReply, ClientError, RequestRejected
from TumorLoopLib.files.nrrd import read_nrrd, write_nrrd
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.upload import PREPARING, SENDING, Digests, UploadedSession, Uploader, temporary_folder
from TumorLoopLib.scene.volumes import VolumeSnapshot

#: More stages; see :mod:`TumorLoopLib.jobs.upload` for the first two.
WAITING = "waiting"
COMPUTING = "computing"
RECEIVING = "receiving"
CHECKING = "checking"

#: The modality whose grid segmentations have.
REFERENCE = "t1ce"
#: The parameter with which the server segments volumes that are not skull-stripped; it refuses them without, naming it.
WHOLE_HEAD = "allow_whole_head"
#: The server's map that is shown as uncertainty.
UNCERTAINTY_MAP = "entropy"

Image = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class DownloadedCase:
    """A case of a server, with the digests of its volumes by role: unchanged volumes need not be sent back."""

    server: str
    case_id: str
    digests: Digests


@dataclass(frozen=True)
class SegmentationRequest:
    """What to segment: volumes by role, and the case they came from if they were downloaded."""

    snapshots: Mapping[str, VolumeSnapshot]
    downloaded: DownloadedCase | None = None
    with_uncertainty: bool = False
    allow_whole_head: bool = False


@dataclass(frozen=True)
class SegmentationResult:
    """The model's segmentation.

    Attributes:
        array: uint8 labels on the reference volume's grid.
        details: From the server: ``model_version``, ``warnings``, ``seconds`` ...
        uncertainty: The map and its matrix, if the server sent it.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    details: dict[str, Any] = field(default_factory=dict)
    uncertainty: Image | None = None

    @property
    def model_version(self) -> str:
        """The version of the model."""
        return str(self.details.get("model_version") or "")

    @property
    def answer_time(self) -> str:
        """When the server made it; empty if the server is of a release that does not say so."""
        return str(self.details.get("answer_time") or "")

    @property
    def warnings(self) -> tuple[str, ...]:
        """The server's warnings about the volumes and the result, in its order."""
        found = self.details.get("warnings")
        return tuple(str(warning) for warning in found) if isinstance(found, list) else ()


@dataclass(frozen=True)
class NotStripped:
    """The server did not segment: the volumes do not look skull-stripped. ``reason`` is its sentence."""

    reason: str


@dataclass(frozen=True)
class Submission:
    """A corrected label to submit.

    Attributes:
        array: uint8 labels on the reference volume's grid.
        params: ``label_info``, ``comment``, ``status``, ``model_version``, ``answer_time``, ``active_seconds``,
            ``allow_empty``.
        tag: ``final`` or ``draft``.
        snapshots: The volumes by role, for a server that does not have the case yet.
        on_server: Address of the server the case was downloaded from; empty for the user's own volumes.
    """

    case_id: str
    array: np.ndarray
    ijk_to_ras: np.ndarray
    params: dict[str, Any]
    tag: str
    snapshots: Mapping[str, VolumeSnapshot]
    on_server: str = ""


@dataclass(frozen=True)
class SubmissionResult:
    """The server's record of a submission, and the case's label history."""

    record: dict[str, Any]
    history: list[dict[str, Any]]


def segment(
    client: TumorLoopClient, request: SegmentationRequest, uploaded: UploadedSession, reporter: Reporter, folder: Path
) -> SegmentationResult:
    """Have the server segment the volumes.

    Args:
        client: Of the server.
        request: What to segment.
        uploaded: What the server already has; updated.
        reporter: Of the job.
        folder: For temporary files.

    Raises:
        ClientError: If there is no complete and fitting result.
    """
    uploader = Uploader(client, request.snapshots, uploaded, reporter, folder)
    case = request.downloaded
    with temporary_folder(folder) as results:
        infer = _Inference(client, reporter, results, request)
        result = None
        if case is not None and case.server == client.server_url and case.digests == uploader.digests:
            try:
                result = infer(case_id=case.case_id)
            except RequestRejected as error:
                if error.status != 404:
                    raise
        result = result or uploader.with_session(lambda session: infer(session_id=session))
        array, ijk_to_ras = read_nrrd(result.path)
        _check_grid(array, ijk_to_ras, request.snapshots[REFERENCE])
        uncertainty = _uncertainty(client, result, reporter, results) if request.with_uncertainty else None
        return SegmentationResult(array, ijk_to_ras, result.params, uncertainty)


def segment_if_stripped(
    client: TumorLoopClient, request: SegmentationRequest, uploaded: UploadedSession, reporter: Reporter, folder: Path
) -> SegmentationResult | NotStripped:
    """Do as :func:`segment`, but return the refusal of volumes that are not skull-stripped: the user may insist."""
    try:
        return segment(client, request, uploaded, reporter, folder)
    except RequestRejected as error:
        if error.field != WHOLE_HEAD or request.allow_whole_head:
            raise
        return NotStripped(error.message)


def submit(
    client: TumorLoopClient, label: Submission, uploaded: UploadedSession, reporter: Reporter, folder: Path
) -> SubmissionResult:
    """Send a corrected label; upload the case first if the server does not have it.

    Sending the same label again after a failure is safe: the server stores one version of it.

    Raises:
        ClientError: If it was not stored.
    """
    if not _has_case(client, label, reporter, folder):
        uploader = Uploader(client, label.snapshots, uploaded, reporter, folder)
        uploader.with_session(lambda session: client.case_from_session(label.case_id, session, reporter.cancel))
    with temporary_folder(folder) as files:
        reporter.stage(PREPARING)
        path = files / "label.nrrd"
        write_nrrd(path, label.array, label.ijk_to_ras, cancel=reporter.cancel)
        reporter.stage(SENDING)
        record = client.save_label(
            label.case_id, path, label.params, label.tag, progress=reporter.progress, cancel=reporter.cancel
        )
    reporter.stage(CHECKING)
    return SubmissionResult(record, client.labels(label.case_id))


@dataclass
class _Inference:
    """Calls ``infer`` and reports the progress of the computation."""

    client: TumorLoopClient
    reporter: Reporter
    folder: Path
    request: SegmentationRequest

    def __call__(self, **what: str) -> InferResult:
        args = job, arriving = new_job_id(), threading.Event()
        params = {"result_extension": ".nrrd", "reference": REFERENCE}
        forced = {WHOLE_HEAD: True} if self.request.allow_whole_head else {}
        self.reporter.stage(WAITING)
        threading.Thread(target=self._report_job, args=args, name="TumorLoop progress", daemon=True).start()

        def received(done: int, total: int) -> None:
            if not arriving.is_set():
                arriving.set()
                self.reporter.stage(RECEIVING)
            self.reporter.progress(done, total)

        try:
            return self.client.infer(
                **what,  # type: ignore[arg-type]
                params={**params, **forced},
                output_maps=self.request.with_uncertainty,
                folder=self.folder,
                progress=received,
                cancel=self.reporter.cancel,
                job=job,
            )
        except ClientError:
            # Closing the connection does not stop the server. Not waited for: Cancel must be quick.
            threading.Thread(target=_cancel_on_server, args=(self.client, job), daemon=True).start()
            raise
        finally:
            arriving.set()

    def _report_job(self, job: str, arriving: threading.Event) -> None:
        while not arriving.wait(0.4):
            try:
                state = self.client.job(job) or {}  # none before the server reads the request
                if arriving.is_set():
                    return
                if state.get("state") == "computing":
                    self.reporter.waiting(COMPUTING, share=float(state.get("share") or 0.0))
                elif state.get("state") == "waiting":
                    self.reporter.waiting(WAITING, position=int(state.get("position") or 0))
            except (ClientError, TypeError, ValueError):
                continue  # the inference itself reports what is wrong


def _cancel_on_server(client: TumorLoopClient, job: str) -> None:
    try:
        client.cancel_job(job)
    except ClientError:
        return  # it has ended already, or the server is gone


def _uncertainty(client: TumorLoopClient, result: InferResult, reporter: Reporter, folder: Path) -> Image | None:
    if UNCERTAINTY_MAP not in (result.params.get("maps") or {}):
        return None
    path = client.download_map(result, UNCERTAINTY_MAP, folder, reporter.progress, reporter.cancel, ending=".nrrd")
    return read_nrrd(path)


def _has_case(client: TumorLoopClient, label: Submission, reporter: Reporter, folder: Path) -> bool:
    """Return whether the server has the case already, with the same images."""
    if not label.on_server:
        return False
    reporter.stage(CHECKING)
    try:
        if label.on_server == client.server_url:
            client.labels(label.case_id)
            return True
        with temporary_folder(folder) as downloads:
            path = client.download_volume(label.case_id, REFERENCE, downloads, reporter.progress, reporter.cancel)
            array, _matrix = read_nrrd(path)
    except RequestRejected as error:
        if error.status == 404:
            return False
        raise
    return np.array_equal(array, label.snapshots[REFERENCE].array)


def _check_grid(array: np.ndarray, ijk_to_ras: np.ndarray, reference: VolumeSnapshot) -> None:
    """Check that a result has the reference volume's grid, within a hundredth of a millimeter.

    Raises:
        BadReply: If it does not.
    """
    if array.shape != reference.array.shape or not np.allclose(ijk_to_ras, reference.ijk_to_ras, atol=1e-2):
        text = _('The result does not have the grid of "{name}", so it cannot be used.')
        raise BadReply(text.format(name=reference.name))
