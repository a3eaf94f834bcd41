"""Calls of the client for segmentation: results, jobs, maps."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from TumorLoopLib.client import multipart, replies
from TumorLoopLib.client.caller import DEFAULT_MODEL, Caller, PathLike, quoted, with_ending
from TumorLoopLib.client.errors import BadReply
from TumorLoopLib.client.transport import Progress, Request
from TumorLoopLib.i18n import _

#: Accepted names and URL paths of maps: both are used in paths here.
_MAP_NAME = re.compile(r"[a-z0-9_]{1,40}")
_MAP_PATH = re.compile(r"/maps/[0-9a-z]{1,64}/[a-z0-9_]{1,40}\.nii\.gz")


@dataclass(frozen=True)
class InferResult:
    """A complete segmentation.

    Attributes:
        path: The labelmap file.
        params: The server's description of it: ``label_names``, ``volumes_ml``, ``model_version``, ``seconds``,
            ``warnings``, ``reference``, ``missing`` (modalities), ``maps`` (see :meth:`TumorLoopClient.download_map`),
            ``preprocessing``: what was done to volumes as they were scanned, None if nothing,
            ``answer_time``: when it was made, which :meth:`TumorLoopClient.save_label` may send back.
    """

    path: Path
    params: dict[str, Any] = field(default_factory=dict)


def new_job_id() -> str:
    """Return a unique id for a segmentation job."""
    return uuid.uuid4().hex


class SegmentationCalls(Caller):
    """Segmentation; a part of :class:`~TumorLoopLib.client.client.TumorLoopClient`."""

    def infer(
        self,
        model: str = DEFAULT_MODEL,
        *,
        case_id: str | None = None,
        session_id: str | None = None,
        params: Mapping[str, Any] | None = None,
        allow_missing: bool = False,
        output_maps: bool = False,
        job: str | None = None,
        folder: PathLike,
        name: str = "segmentation",
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> InferResult:
        """Segment a case of the server or the volumes of a session.

        Args:
            model: The server's model name.
            case_id: A case of the server; or
            session_id: what :meth:`create_session` returned.
            params: For example ``{"result_extension": ".seg.nrrd", "reference": "flair"}``; ``as_scanned``: whether the
                volumes must be registered and skull-stripped first (by default, what needs it is); ``force``: compute
                although the registration or the brain mask is not to be trusted.
            allow_missing: Segment without the missing modalities; ``params["missing"]`` of the result names them.
            output_maps: Compute maps of the model's certainty, for :meth:`download_map`.
            job: An id chosen by the caller, for :meth:`job` and :meth:`cancel_job`.
            folder: Where to save the result; created if missing.
            name: File name of the result without its ending.
            progress: Bytes of the result received; the first call marks the end of the computation.
            cancel: See :mod:`TumorLoopLib.client.client`.

        Returns:
            The complete labelmap file and its description.

        Raises:
            Cancelled: If ``cancel`` was set, or the job was cancelled on the server.
        """
        if (case_id is None) == (session_id is None):
            raise ValueError("give either case_id or session_id")
        source = {"image": case_id} if session_id is None else {"session_id": session_id}
        flags = {"allow_missing": allow_missing, "output_maps": output_maps}
        sent = {**self._identity(), **(params or {}), **{flag: True for flag, value in flags.items() if value}}
        if job is not None:
            sent["job"] = job
        body = multipart.form({"params": json.dumps(sent)})
        target = f"/infer/{quoted(model)}?{urlencode({**source, 'output': 'all'})}"
        request = Request("POST", target, body, self._headers, self._timeouts.infer)
        with self._transport.exchange(request, cancel=cancel) as response:
            return InferResult(*replies.read_result(response, Path(folder), name, progress))

    def job(self, job_id: str) -> dict[str, Any] | None:
        """Return the progress of a segmentation that was started with ``infer(..., job=job_id)``.

        Returns:
            ``id``; ``state``: waiting, computing, done, failed or cancelled; ``position``: number of jobs before it
            in the queue, 0 while it is computed; ``share``: of the computation, 0 to 1; ``stage``: waiting, loading,
            reading, registering, stripping, preparing, computing, restoring or writing. None if the server does
            not know the id: the request has not arrived yet, or ended some minutes ago.
        """
        return self._none_if_unknown(lambda: self._object("GET", f"/jobs/{quoted(job_id)}"))

    def cancel_job(self, job_id: str) -> dict[str, Any] | None:
        """Cancel a segmentation, waiting or being computed; the server ends it within a second.

        Returns:
            As :meth:`job`; a job that had already ended is unchanged. None if the server does not know the id; if the
            request arrives a little later, it is rejected as cancelled.
        """
        return self._none_if_unknown(lambda: self._object("DELETE", f"/jobs/{quoted(job_id)}"))

    def download_map(
        self,
        result: InferResult,
        name: str,
        folder: PathLike,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
        *,
        ending: str = ".nii.gz",
    ) -> Path:
        """Save a map of a segmentation as ``folder/<name><ending>``; the server keeps maps for an hour.

        Args:
            result: What :meth:`infer` returned when it was asked for maps.
            name: ``probability_wt``, ``probability_tc``, ``probability_et`` or ``entropy``.
            folder: Created if missing.
            progress: See :mod:`TumorLoopLib.client.client`.
            cancel: See :mod:`TumorLoopLib.client.client`.
            ending: ``.nii.gz`` or ``.nrrd``.
        """
        maps = result.params.get("maps") or {}
        if name not in maps:
            raise ValueError(f"this result has no map {name!r}; it has {', '.join(sorted(maps)) or 'none'}")
        target = maps[name]
        if not isinstance(target, str) or not _MAP_PATH.fullmatch(target) or not _MAP_NAME.fullmatch(name):
            raise BadReply(_("The server gave an invalid address for a map."))
        return self._file(with_ending(target, ending), folder, name, progress, cancel)
