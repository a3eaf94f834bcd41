"""The calls of the client that have the server segment: results, jobs, maps."""

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

#: What a server may name as a map and its address: both become part of a path.
_MAP_NAME = re.compile(r"[a-z0-9_]{1,40}")
_MAP_ADDRESS = re.compile(r"/maps/[0-9a-z]{1,64}/[a-z0-9_]{1,40}\.nii\.gz")


@dataclass(frozen=True)
class InferResult:
    """A segmentation that arrived whole.

    Attributes:
        path: The labelmap file.
        params: What the server says about it: ``label_names``, ``volumes_ml``, ``model_version``, ``seconds``,
            ``warnings``, ``reference``, ``missing`` (modalities), ``maps`` (see :meth:`TumorLoopClient.download_map`).
    """

    path: Path
    params: dict[str, Any] = field(default_factory=dict)


def new_job_id() -> str:
    """Return an id for a segmentation that nobody else has."""
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
            params: For example ``{"result_extension": ".seg.nrrd", "reference": "flair"}``.
            allow_missing: Do without the modalities that are missing; ``params["missing"]`` of the result names them.
            output_maps: Make maps of how sure the model is, for :meth:`download_map`.
            job: An id of the caller's own, by which :meth:`job` and :meth:`cancel_job` know this segmentation.
            folder: Where to save the result; created if missing.
            name: File name of the result without its ending.
            progress: Bytes of the result received; the first call marks the end of the computing.
            cancel: See :mod:`TumorLoopLib.client.client`.

        Returns:
            The complete labelmap file and the facts beside it.

        Raises:
            Cancelled: If ``cancel`` was set, or the job was cancelled on the server.
        """
        if (case_id is None) == (session_id is None):
            raise ValueError("give either case_id or session_id")
        where = {"image": case_id} if session_id is None else {"session_id": session_id}
        wishes = {"allow_missing": allow_missing, "output_maps": output_maps}
        facts = {**self._who(), **(params or {}), **{wish: True for wish, wanted in wishes.items() if wanted}}
        if job is not None:
            facts["job"] = job
        body = multipart.form({"params": json.dumps(facts)})
        target = f"/infer/{quoted(model)}?{urlencode({**where, 'output': 'all'})}"
        request = Request("POST", target, body, self._headers, self._timeouts.infer)
        with self._transport.exchange(request, cancel=cancel) as response:
            return InferResult(*replies.read_result(response, Path(folder), name, progress))

    def job(self, job_id: str) -> dict[str, Any] | None:
        """Tell how far a segmentation is that was started with ``infer(..., job=job_id)``.

        Returns:
            ``id``; ``state``: waiting, computing, done, failed or cancelled; ``position``: how many are before it in
            the queue, 0 once it is computed; ``share``: of the computing, 0 to 1; ``stage``: waiting, loading,
            reading, preparing, computing, restoring or writing. None when the server does not know the id: the
            request has not arrived yet, or ended some minutes ago.
        """
        return self._known(lambda: self._object("GET", f"/jobs/{quoted(job_id)}"))

    def cancel_job(self, job_id: str) -> dict[str, Any] | None:
        """Cancel a segmentation, waiting or being computed; the server ends it within a second.

        Returns:
            As :meth:`job`, afterwards: a job that had ended before stays as it is. None when the server does not know
            the id; should the request arrive a little later, it is refused as cancelled.
        """
        return self._known(lambda: self._object("DELETE", f"/jobs/{quoted(job_id)}"))

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
        if not isinstance(target, str) or not _MAP_ADDRESS.fullmatch(target) or not _MAP_NAME.fullmatch(name):
            raise BadReply(_("The server names a map's address that is none."))
        return self._file(with_ending(target, ending), folder, name, progress, cancel)
