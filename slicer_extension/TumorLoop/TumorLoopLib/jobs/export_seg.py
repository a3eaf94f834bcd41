"""Saving a submitted label as DICOM SEG, on a worker thread."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import BadReply, LocalFileError
from TumorLoopLib.files import dicom_headers
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.stages import RECEIVING
from TumorLoopLib.jobs.upload import temporary_folder
from TumorLoopLib.scene.case_folder import looks_like_dicom


@dataclass(frozen=True)
class SegOrder:
    """Which label to save.

    Attributes:
        case_id: A case of the server.
        version: Of its label.
        target: The file to write.
        image: A DICOM image of the reference series, which names the patient; ``None`` if there is none here.
    """

    case_id: str
    version: str
    target: Path
    image: Path | None = None


@dataclass(frozen=True)
class SavedSeg:
    """A DICOM SEG that was saved, and its UID; that is empty if it does not name the patient."""

    path: Path
    uid: str = ""


def export_seg(client: TumorLoopClient, order: SegOrder, reporter: Reporter, folder: Path) -> SavedSeg:
    """Have the server write a label as DICOM SEG, add the patient, and save it.

    Raises:
        ClientError: If it was not saved; an existing file is then unchanged.
    """
    reporter.stage(RECEIVING)
    with temporary_folder(folder) as downloads:
        path = client.download_seg(order.case_id, order.version, downloads, reporter.cancel)
        if not looks_like_dicom(path):
            raise BadReply(_("This server does not write DICOM SEG. Update the server."))
        uid = dicom_headers.complete(path, order.image) if order.image is not None and dicom_headers.can_read() else ""
        try:
            shutil.move(path, order.target)
        except OSError as error:
            text = _("{path} cannot be written: {reason}.")
            raise LocalFileError(text.format(path=order.target, reason=error.strerror or error)) from error
    return SavedSeg(order.target, uid)
