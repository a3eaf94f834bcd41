"""Submitting labels, as plain functions that run on a worker thread; see :mod:`TumorLoopLib.jobs.segment`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import RequestRejected
from TumorLoopLib.files.nrrd import read_nrrd, write_nrrd
from TumorLoopLib.jobs.inference import computing
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.preparation import AS_NEEDED, Preparing
from TumorLoopLib.jobs.segment import REFERENCE
from TumorLoopLib.jobs.stages import CHECKING, PREPARING, SENDING
from TumorLoopLib.jobs.upload import UploadedSession, Uploader, temporary_folder
from TumorLoopLib.scene.volumes import VolumeSnapshot


@dataclass(frozen=True)
class Submission:
    """A corrected label to submit.

    Attributes:
        array: uint8 labels on the reference volume's grid.
        params: ``label_info``, ``comment``, ``status``, ``model_version``, ``answer_time``, ``active_seconds``,
            ``allow_empty``.
        tag: ``final`` or ``draft``.
        snapshots: The volumes by role, for a server that does not have the case yet.
        preparing: How it is to prepare them.
        on_server: Address of the server the case was downloaded from; empty for the user's own volumes.
    """

    case_id: str
    array: np.ndarray
    ijk_to_ras: np.ndarray
    params: dict[str, Any]
    tag: str
    snapshots: Mapping[str, VolumeSnapshot]
    on_server: str = ""
    preparing: Preparing = AS_NEEDED


@dataclass(frozen=True)
class SubmissionResult:
    """The server's record of a submission, and the case's label history."""

    record: dict[str, Any]
    history: list[dict[str, Any]]


def submit(
    client: TumorLoopClient, label: Submission, uploaded: UploadedSession, reporter: Reporter, folder: Path
) -> SubmissionResult:
    """Send a corrected label; upload the case first if the server does not have it.

    Sending the same label again after a failure is safe: the server stores one version of it.

    Raises:
        ClientError: If it was not stored.
    """
    if not _has_case(client, label, reporter, folder):
        uploader = Uploader(client, label.snapshots, uploaded, reporter, folder, label.preparing)
        uploader.with_session(lambda session: _store_case(client, label, session, reporter))
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


def _store_case(client: TumorLoopClient, label: Submission, session: str, reporter: Reporter) -> None:
    with computing(client, reporter) as (job, _arriving):
        params = label.preparing.params
        client.case_from_session(label.case_id, session, reporter.cancel, params=params, job=job)


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
