"""The client of the TumorLoop server, for the panel, the demo and the tests.

It needs only the standard library and Python 3.9, so it runs inside 3D Slicer as it is. A client keeps no connection
and no thread; its methods block, so a program with a user interface calls them in a worker thread.
Methods that transfer files take ``progress(bytes_done, bytes_total)``, called on the calling thread, and ``cancel``, a
:class:`threading.Event` that ends them with :class:`~TumorLoopLib.client.errors.Cancelled` within a second.

For example::

    client = TumorLoopClient("http://127.0.0.1:8000")
    session = client.create_session({"t1": t1_file, "t1ce": t1ce_file, "t2": t2_file, "flair": flair_file})
    result = client.infer(session_id=session, folder="results")
    print(result.path, result.params["volumes_ml"])
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from TumorLoopLib.client import multipart
from TumorLoopLib.client.caller import DEFAULT_MODEL, PathLike, file_part, json_body, quoted, with_ending
from TumorLoopLib.client.image_calls import ImageCalls
from TumorLoopLib.client.segmentation_calls import InferResult, SegmentationCalls, new_job_id
from TumorLoopLib.client.training_calls import TrainingCalls
from TumorLoopLib.client.transport import Progress

__all__ = ["DEFAULT_MODEL", "InferResult", "TumorLoopClient", "new_job_id"]


class TumorLoopClient(ImageCalls, SegmentationCalls, TrainingCalls):
    """Talks to one TumorLoop server.

    Args:
        server_url: For example ``http://127.0.0.1:8000``; a path prefix and https are fine.
        token: Access token, sent as ``Authorization: Bearer``.
        user: Name of the user, for the labels' history.
        timeouts: Longest silence of each step.
        ca_file: Certificates that https trusts beside the system's, for a hospital's own authority.

    Every method raises a :class:`~TumorLoopLib.client.errors.ClientError`: ``ServerUnreachable``, ``ConnectionLost``,
    ``ServerTimeout``, ``RequestRejected``, ``NotAuthorized``, ``ServerFailed``, ``BadReply``, ``LocalFileError`` or
    ``Cancelled``.
    """

    def info(self) -> dict[str, Any]:
        """Return the server's description: name, version, labels, models, trainers, strategies, datastore counts."""
        return self._object("GET", "/info/")

    def cases(self) -> list[dict[str, Any]]:
        """Return all cases of the server."""
        return self._list("GET", "/cases", "cases")

    def next_sample(self, strategy: str = "first", after: str = "") -> dict[str, Any] | None:
        """Return the case to label next, or None if every case has a label.

        Args:
            strategy: ``first``, ``random``, or ``uncertainty``: the case about which the model is least certain.
            after: The open case, to continue after it although it has no label.

        Returns:
            ``id`` and more; with ``uncertainty`` also ``reason``, a sentence, and ``uncertainty``, 0 (certain) to 1,
            or None if the served model has not segmented the case.
        """
        body = json_body({**self._identity(), **({"after": after} if after else {})})
        return self._object("POST", f"/activelearning/{quoted(strategy)}", body=body) or None

    def save_label(
        self,
        case_id: str,
        path: PathLike,
        params: Mapping[str, Any] | None = None,
        tag: str = "final",
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> dict[str, Any]:
        """Submit a corrected labelmap; the server keeps every version.

        Args:
            case_id: Its case.
            path: A labelmap on the case's reference grid.
            params: ``label_info`` (``[{"name": ..., "idx": ...}]``), ``comment``, ``model_version``; ``answer_time``:
                that of the segmentation that is corrected; ``active_seconds`` of work on it, without pauses ...
            tag: Only ``final`` labels are used for training.
            progress: See the module.
            cancel: See the module.

        Returns:
            The server's record of the label.
        """
        body = multipart.form(
            {"params": json.dumps({**self._identity(), **(params or {})})}, [file_part("label", path, "label")]
        )
        target = f"/datastore/label?{urlencode({'image': case_id, 'tag': tag})}"
        return self._object("PUT", target, body, progress, cancel)

    def labels(self, case_id: str) -> list[dict[str, Any]]:
        """Return the versions of a case's label, with author and date."""
        return self._list("GET", f"/cases/{quoted(case_id)}/labels", "labels")

    def corrections(self) -> dict[str, Any] | None:
        """Return how good the model's segmentations were, judged by the final labels, and what correcting them took.

        Returns:
            ``cases``: by first submission, with ``case``, ``version``, ``dice`` (by region and ``mean``), ``minutes``,
            ``active_minutes``, ``seen`` and more; ``resubmissions``: the same; ``versions``: summaries. None if the
            server is of a release without them.
        """
        return self._none_if_unknown(lambda: self._object("GET", "/corrections"))

    def download_label(
        self,
        case_id: str,
        version: str,
        folder: PathLike,
        cancel: threading.Event | None = None,
        *,
        ending: str = ".nii.gz",
    ) -> Path:
        """Save one version of a case's label as ``folder/<version><ending>``; the ending is .nii.gz or .nrrd."""
        target = with_ending(f"/cases/{quoted(case_id)}/labels/{quoted(version)}", ending)
        return self._file(target, folder, version, None, cancel)

    def download_seg(self, case_id: str, version: str, folder: PathLike, cancel: threading.Event | None = None) -> Path:
        """Save one version of a case's label as DICOM SEG, ``folder/<version>.dcm``.

        The server refuses (422, field ``output``) if it has no DICOM headers of the case: see
        :meth:`TumorLoopClient.create_session`. What these do not say of the patient, the SEG does not say either.
        """
        target = f"/cases/{quoted(case_id)}/labels/{quoted(version)}?{urlencode({'output': 'dicom_seg'})}"
        return self._file(target, folder, version, None, cancel, self._timeouts.check, ".dcm")
