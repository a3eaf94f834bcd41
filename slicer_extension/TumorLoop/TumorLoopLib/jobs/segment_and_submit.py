"""What the panel asks of the server for one case, as plain functions that run on a worker thread.

They take a client, snapshots of the volumes and the job's reporter, and return arrays: nothing here touches MRML or
Qt. Arrays are ``(k, j, i)``, ``ijk_to_ras`` is a 4x4 float64 matrix in millimeters.
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
from TumorLoopLib.jobs.sending import PREPARING, SENDING, Digests, Sender, Sent, scratch
from TumorLoopLib.scene.volumes import VolumeSnapshot

#: More stages; see :mod:`TumorLoopLib.jobs.sending` for the first two.
WAITING = "waiting"
COMPUTING = "computing"
RECEIVING = "receiving"
CHECKING = "checking"

#: The modality on whose grid everything lies.
REFERENCE = "t1ce"
#: The map that is shown as uncertainty.
UNCERTAINTY_MAP = "entropy"

Image = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class ServedCase:
    """A case that was downloaded: as long as the volumes are as they came, they need not be sent back.

    Attributes:
        server: Address of the server.
        case_id: Its id there.
        digests: Content of the volumes as they came, by role.
    """

    server: str
    case_id: str
    digests: Digests


@dataclass(frozen=True)
class SegmentOrder:
    """What to segment.

    Attributes:
        snapshots: The volumes by role.
        served: The case they came from, if they came from a server.
        with_map: Whether to ask for the uncertainty map.
    """

    snapshots: Mapping[str, VolumeSnapshot]
    served: ServedCase | None = None
    with_map: bool = False


@dataclass(frozen=True)
class Answer:
    """What the model said.

    Attributes:
        array: uint8 labels on the reference volume's grid.
        ijk_to_ras: Of the array.
        facts: What the server says beside it: ``model_version``, ``warnings``, ``seconds`` ...
        uncertainty: The map and its matrix, if it was asked for and given.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    facts: dict[str, Any] = field(default_factory=dict)
    uncertainty: Image | None = None

    @property
    def model_version(self) -> str:
        """The version of the model that answered."""
        return str(self.facts.get("model_version") or "")


@dataclass(frozen=True)
class Submission:
    """A corrected label on its way.

    Attributes:
        case_id: The case it belongs to.
        array: uint8 labels on the reference volume's grid.
        ijk_to_ras: Of the array.
        params: ``label_info``, ``comment``, ``status``, ``model_version``, ``allow_empty``.
        tag: ``final`` or ``draft``.
        snapshots: The volumes by role, for a server that does not have the case yet.
        on_server: Address of the server the case was downloaded from; empty for volumes of the scene's own.
    """

    case_id: str
    array: np.ndarray
    ijk_to_ras: np.ndarray
    params: dict[str, Any]
    tag: str
    snapshots: Mapping[str, VolumeSnapshot]
    on_server: str = ""


@dataclass(frozen=True)
class Submitted:
    """What became of a submission: the server's record, and the case's label history."""

    record: dict[str, Any]
    history: list[dict[str, Any]]


def segment(client: TumorLoopClient, order: SegmentOrder, sent: Sent, reporter: Reporter, folder: Path) -> Answer:
    """Have the server segment the volumes.

    Args:
        client: Of the server.
        order: What to segment.
        sent: What the server already has; updated.
        reporter: Of the job.
        folder: For temporary files.

    Raises:
        ClientError: If anything keeps the answer from arriving whole.
    """
    sender = Sender(client, order.snapshots, sent, reporter, folder)
    served = order.served
    with scratch(folder) as results:
        infer = _Inference(client, reporter, results, order.with_map)
        if served is not None and served.server == client.server_url and served.digests == sender.digests:
            try:
                result = infer(case_id=served.case_id)
            except RequestRejected as error:
                if error.status != 404:
                    raise
                result = sender.with_session(lambda session: infer(session_id=session))
        else:
            result = sender.with_session(lambda session: infer(session_id=session))
        array, ijk_to_ras = read_nrrd(result.path)
        _check_grid(array, ijk_to_ras, order.snapshots[REFERENCE])
        return Answer(array, ijk_to_ras, result.params, _uncertainty(client, result, reporter, results, order))


def submit(client: TumorLoopClient, label: Submission, sent: Sent, reporter: Reporter, folder: Path) -> Submitted:
    """Send a corrected label; make the case on the server first, if it does not have it.

    Sending the same label again after a failure does no harm: the server keeps one version of it.

    Raises:
        ClientError: If it did not arrive; nothing is stored in part.
    """
    if not _has_case(client, label, reporter, folder):
        sender = Sender(client, label.snapshots, sent, reporter, folder)
        sender.with_session(lambda session: client.case_from_session(label.case_id, session, reporter.cancel))
    with scratch(folder) as place:
        reporter.stage(PREPARING)
        path = place / "label.nrrd"
        write_nrrd(path, label.array, label.ijk_to_ras, cancel=reporter.cancel)
        reporter.stage(SENDING)
        record = client.save_label(
            label.case_id, path, label.params, label.tag, progress=reporter.progress, cancel=reporter.cancel
        )
    reporter.stage(CHECKING)
    return Submitted(record, client.labels(label.case_id))


class _Inference:
    """Calls ``infer`` and meanwhile tells how the computation stands."""

    def __init__(self, client: TumorLoopClient, reporter: Reporter, folder: Path, with_map: bool) -> None:
        self._client = client
        self._reporter = reporter
        self._folder = folder
        self._with_map = with_map

    def __call__(self, **what: str) -> InferResult:
        job = new_job_id()
        arriving = threading.Event()
        self._reporter.stage(WAITING)
        watch = threading.Thread(target=self._watch, args=(job, arriving), name="TumorLoop watch", daemon=True)
        watch.start()

        def received(done: int, total: int) -> None:
            if not arriving.is_set():
                arriving.set()
                self._reporter.stage(RECEIVING)
            self._reporter.progress(done, total)

        try:
            return self._client.infer(
                **what,  # type: ignore[arg-type]
                params={"result_extension": ".nrrd", "reference": REFERENCE},
                output_maps=self._with_map,
                folder=self._folder,
                progress=received,
                cancel=self._reporter.cancel,
                job=job,
            )
        except ClientError:
            # The connection's end does not stop the server's work. Nobody waits for this: Cancel must be quick.
            threading.Thread(target=_cancel_on_server, args=(self._client, job), daemon=True).start()
            raise
        finally:
            arriving.set()

    def _watch(self, job: str, arriving: threading.Event) -> None:
        while not arriving.wait(0.4):
            try:
                state = self._client.job(job) or {}  # none, as long as the server has not begun to read the request
                if arriving.is_set():
                    return
                if state.get("state") == "computing":
                    self._reporter.waiting(COMPUTING, share=float(state.get("share") or 0.0))
                elif state.get("state") == "waiting":
                    self._reporter.waiting(WAITING, position=int(state.get("position") or 0))
            except (ClientError, TypeError, ValueError):
                continue  # the answer itself will tell what is wrong


def _cancel_on_server(client: TumorLoopClient, job: str) -> None:
    try:
        client.cancel_job(job)
    except ClientError:
        return  # it had ended already, or the server is gone


def _uncertainty(
    client: TumorLoopClient, result: InferResult, reporter: Reporter, folder: Path, order: SegmentOrder
) -> Image | None:
    if not order.with_map or UNCERTAINTY_MAP not in (result.params.get("maps") or {}):
        return None
    path = client.download_map(result, UNCERTAINTY_MAP, folder, reporter.progress, reporter.cancel, ending=".nrrd")
    return read_nrrd(path)


def _has_case(client: TumorLoopClient, label: Submission, reporter: Reporter, folder: Path) -> bool:
    """Whether the server has the case already, and with the same images."""
    if not label.on_server:
        return False
    reporter.stage(CHECKING)
    try:
        if label.on_server == client.server_url:
            client.labels(label.case_id)
            return True
        with scratch(folder) as place:
            path = client.download_volume(label.case_id, REFERENCE, place, reporter.progress, reporter.cancel)
            array, _matrix = read_nrrd(path)
    except RequestRejected as error:
        if error.status == 404:
            return False
        raise
    return np.array_equal(array, label.snapshots[REFERENCE].array)


def _check_grid(array: np.ndarray, ijk_to_ras: np.ndarray, reference: VolumeSnapshot) -> None:
    """Make sure that an answer lies on the reference volume's grid, within a hundredth of a millimeter.

    Raises:
        BadReply: If it does not.
    """
    if array.shape != reference.array.shape or not np.allclose(ijk_to_ras, reference.ijk_to_ras, atol=1e-2):
        raise BadReply(
            _('The answer does not lie on the grid of "{name}", so it cannot be shown on it.').format(
                name=reference.name
            )
        )
