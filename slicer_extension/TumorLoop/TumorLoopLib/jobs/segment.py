"""Segmenting volumes, as plain functions that run on a worker thread.

They take a client, copies of the volumes and the job's reporter, and return arrays: nothing here touches MRML or Qt.
Arrays are ``(k, j, i)``, ``ijk_to_ras`` is a 4x4 float64 matrix in millimeters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from TumorLoopLib.client import InferResult, TumorLoopClient
from TumorLoopLib.client.errors import BadReply, RequestRejected
from TumorLoopLib.files.nrrd import read_nrrd
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.inference import computing
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.preparation import AS_NEEDED, Image, Preparation, Preparing, digest_of_mask
from TumorLoopLib.jobs.stages import RECEIVING
from TumorLoopLib.jobs.upload import Digests, UploadedSession, Uploader, temporary_folder
from TumorLoopLib.scene.roles import ROLES
from TumorLoopLib.scene.volumes import VolumeSnapshot

#: The modality whose grid segmentations have.
REFERENCE = "t1ce"
#: The parameter with which the server segments volumes that are not skull-stripped; it refuses them without, naming it.
WHOLE_HEAD = "allow_whole_head"
#: The server's map that is shown as uncertainty.
UNCERTAINTY_MAP = "entropy"


@dataclass(frozen=True)
class DownloadedCase:
    """A case of a server, with the digests of its volumes by role."""

    server: str
    case_id: str
    digests: Digests


@dataclass(frozen=True)
class SegmentationRequest:
    """What to segment: volumes by role, the case they came from if they were downloaded, and how to prepare them."""

    snapshots: Mapping[str, VolumeSnapshot]
    downloaded: DownloadedCase | None = None
    with_uncertainty: bool = False
    allow_whole_head: bool = False
    preparing: Preparing = AS_NEEDED


@dataclass(frozen=True)
class SegmentationResult:
    """The model's segmentation.

    Attributes:
        array: uint8 labels on the reference volume's grid.
        details: From the server: ``model_version``, ``warnings``, ``seconds`` ...
        uncertainty: The map and its matrix, if the server sent it.
        preparation: What was done to the volumes before; ``None`` if nothing.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    details: dict[str, Any] = field(default_factory=dict)
    uncertainty: Image | None = None
    preparation: Preparation | None = None

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
class Refused:
    """The server did not segment, but would if the user insists: with ``insist``, the request that does; and why."""

    reason: str
    insist: SegmentationRequest


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
    uploader = Uploader(client, request.snapshots, uploaded, reporter, folder, request.preparing)
    with temporary_folder(folder) as results:
        infer = _Inference(client, reporter, results, request)
        of_case = _of_case(infer, uploader)
        result = of_case or uploader.with_session(lambda session: infer(session_id=session))
        array, ijk_to_ras = read_nrrd(result.path)
        _check_grid(array, ijk_to_ras, request.snapshots[REFERENCE])
        uncertainty = _uncertainty(client, result, reporter, results) if request.with_uncertainty else None
        preparation = _preparation(result, uploader, results, request.downloaded if of_case else None)
        return SegmentationResult(array, ijk_to_ras, result.params, uncertainty, preparation)


def segment_or_ask(
    client: TumorLoopClient, request: SegmentationRequest, uploaded: UploadedSession, reporter: Reporter, folder: Path
) -> SegmentationResult | Refused:
    """Do as :func:`segment`, but return a refusal that the user may overrule.

    These are volumes that are not skull-stripped although they should be, and a registration or a brain mask that the
    server does not trust.
    """
    try:
        return segment(client, request, uploaded, reporter, folder)
    except RequestRejected as error:
        if error.field == WHOLE_HEAD and not request.allow_whole_head:
            return Refused(error.message, replace(request, allow_whole_head=True))
        if can_be_forced(error) and not request.preparing.force:
            return Refused(error.message, replace(request, preparing=replace(request.preparing, force=True)))
        raise


def can_be_forced(error: RequestRejected) -> bool:
    """Return whether the server would go on with ``force``: its message then says so."""
    return error.status == 422 and error.field in (*ROLES, "brain") and "force" in error.message


@dataclass
class _Inference:
    """Calls ``infer`` and reports the progress of the computation."""

    client: TumorLoopClient
    reporter: Reporter
    folder: Path
    request: SegmentationRequest

    def __call__(self, **what: str) -> InferResult:
        params = {"result_extension": ".nrrd", "reference": REFERENCE, **self.request.preparing.params}
        forced = {WHOLE_HEAD: True} if self.request.allow_whole_head else {}
        with computing(self.client, self.reporter) as (job, arriving):

            def received(done: int, total: int) -> None:
                if not arriving.is_set():
                    arriving.set()
                    self.reporter.stage(RECEIVING)
                self.reporter.progress(done, total)

            return self.client.infer(
                **what,  # type: ignore[arg-type]
                params={**params, **forced},
                output_maps=self.request.with_uncertainty,
                folder=self.folder,
                progress=received,
                cancel=self.reporter.cancel,
                job=job,
            )


def _of_case(infer: _Inference, uploader: Uploader) -> InferResult | None:
    """Segment the case that the volumes were downloaded from; ``None`` if they are other ones by now."""
    case, request = infer.request.downloaded, infer.request
    if case is None or case.server != infer.client.server_url or request.preparing.as_scanned is not None:
        return None
    if case.digests != uploader.digests or uploader.mask is not None:
        return None
    try:
        return infer(case_id=case.case_id)
    except RequestRejected as error:
        if error.status != 404:
            raise
        return None


def _preparation(
    result: InferResult, uploader: Uploader, folder: Path, case: DownloadedCase | None
) -> Preparation | None:
    """Return what was done to the volumes before, with the brain mask they were cut to.

    Args:
        result: The server's.
        uploader: Of the session that was segmented.
        folder: For the mask.
        case: The case that was segmented instead: its volumes were prepared before they were downloaded.
    """
    found = Preparation.from_reply(result.params.get("preprocessing"))
    uploaded, client, cancel = uploader.uploaded, uploader.client, uploader.reporter.cancel
    if found is None or found.brain_ml is None:
        return found
    if case is not None:
        brain = read_nrrd(client.case_brain(case.case_id, folder, cancel))
        return replace(found, moved={}, brain=brain, brain_digest=digest_of_mask(*brain))
    brain = read_nrrd(client.session_brain(uploaded.session, folder, cancel))
    uploaded.brain, uploaded.brain_edited = digest_of_mask(*brain), uploader.mask is not None
    return replace(found, brain=brain, brain_digest=uploaded.brain, brain_edited=uploaded.brain_edited)


def _uncertainty(client: TumorLoopClient, result: InferResult, reporter: Reporter, folder: Path) -> Image | None:
    if UNCERTAINTY_MAP not in (result.params.get("maps") or {}):
        return None
    path = client.download_map(result, UNCERTAINTY_MAP, folder, reporter.progress, reporter.cancel, ending=".nrrd")
    return read_nrrd(path)


def _check_grid(array: np.ndarray, ijk_to_ras: np.ndarray, reference: VolumeSnapshot) -> None:
    """Check that a result has the reference volume's grid, within a hundredth of a millimeter.

    Raises:
        BadReply: If it does not.
    """
    if array.shape != reference.array.shape or not np.allclose(ijk_to_ras, reference.ijk_to_ras, atol=1e-2):
        text = _('The result does not have the grid of "{name}", so it cannot be used.')
        raise BadReply(text.format(name=reference.name))
