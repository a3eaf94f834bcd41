"""The TumorLoop server, as Python calls: what the panel, the demo and the tests use.

Needs the standard library only, and Python 3.9 or newer, so that it runs inside 3D Slicer as it is. A client holds no
connection and no thread; its methods block and belong into a worker thread of whoever has a user interface.
Methods that move files take ``progress(bytes_done, bytes_total)``, called on the calling thread, and ``cancel``, a
:class:`threading.Event` that ends them with :class:`~TumorLoopLib.errors.Cancelled` within a second.

For example::

    client = TumorLoopClient("http://127.0.0.1:8000")
    session = client.create_session({"t1": t1_file, "t1ce": t1ce_file, "t2": t2_file, "flair": flair_file})
    result = client.infer(session_id=session, folder="results")
    print(result.path, result.params["volumes_ml"])
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from TumorLoopLib import multipart, replies
from TumorLoopLib.caller import Caller, PathLike, json_body, part, quoted, text_of, volumes_form
from TumorLoopLib.errors import BadReply, RequestRejected
from TumorLoopLib.transport import Progress, Request

DEFAULT_MODEL = "tumorloop"

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


class TumorLoopClient(Caller):
    """Talks to one TumorLoop server.

    Args:
        server_url: For example ``http://127.0.0.1:8000``; a path prefix and https are fine.
        token: Access token, sent as ``Authorization: Bearer``.
        user: Who is working, for the history of the labels.
        timeouts: Seconds of silence tolerated per step.
        tls: TLS settings for https, when the system's certificate store is not enough.

    Every method raises a :class:`~TumorLoopLib.errors.ClientError`: ``ServerUnreachable``, ``ConnectionLost``,
    ``ServerTimeout``, ``RequestRejected``, ``NotAuthorized``, ``ServerFailed``, ``BadReply``, ``LocalFileError`` or
    ``Cancelled``.
    """

    # ------------------------------------------------------------------ what there is

    def info(self) -> dict[str, Any]:
        """Return the server's description: name, version, labels, models, trainers, strategies, datastore counts."""
        return self._object("GET", "/info/")

    def cases(self) -> list[dict[str, Any]]:
        """Return all cases of the server."""
        return self._list("GET", "/cases", "cases")

    def next_sample(self, strategy: str = "first") -> dict[str, Any] | None:
        """Return the case to work on next (``id`` and more), or None when every case has a label."""
        return self._object("POST", f"/activelearning/{quoted(strategy)}", body=json_body(self._who())) or None

    # ------------------------------------------------------------------ images

    def upload_case(
        self,
        case_id: str,
        volumes: Mapping[str, PathLike],
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> dict[str, Any]:
        """Store four volumes as a case on the server.

        Args:
            case_id: Letters, digits, ``-`` and ``_``.
            volumes: The file of each role: ``t1``, ``t1ce``, ``t2``, ``flair``.
            progress: See the module.
            cancel: See the module.

        Returns:
            The server's description of the case.
        """
        return self._object("PUT", f"/cases/{quoted(case_id)}", volumes_form(volumes), progress, cancel)

    def create_session(
        self,
        volumes: Mapping[str, PathLike],
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
        *,
        allow_missing: bool = False,
    ) -> str:
        """Send four volumes for segmentation only; the server forgets them after an hour.

        Args:
            volumes: The file of each role.
            progress: See the module.
            cancel: See the module.
            allow_missing: Send fewer than four, at least one; :meth:`infer` must then allow it, too.

        Returns:
            The session's id, for :meth:`infer`.
        """
        target = "/session/?allow_missing=true" if allow_missing else "/session/"
        answer = self._object("PUT", target, volumes_form(volumes), progress, cancel)
        return text_of(answer, "session_id")

    def upload_image(
        self,
        case_id: str,
        path: PathLike,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> str:
        """Store one 4D file (NIfTI or NRRD with all modalities) as a case; return the id the server gave it."""
        body = multipart.form({"params": json.dumps(self._who())}, [part("file", path, "volume")])
        answer = self._object("PUT", f"/datastore/?{urlencode({'image': case_id})}", body, progress, cancel)
        return text_of(answer, "image")

    def download_image(
        self,
        case_id: str,
        folder: PathLike,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Path:
        """Save the volume that stands for a case (T1ce) in ``folder``."""
        target = f"/datastore/image?{urlencode({'image': case_id})}"
        return self._file(target, folder, "image", progress, cancel)

    # ------------------------------------------------------------------ segmentation

    def infer(
        self,
        model: str = DEFAULT_MODEL,
        *,
        case_id: str | None = None,
        session_id: str | None = None,
        params: Mapping[str, Any] | None = None,
        allow_missing: bool = False,
        output_maps: bool = False,
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
            folder: Where to save the result; created if missing.
            name: File name of the result without its ending.
            progress: Bytes of the result received; the first call marks the end of the computing.
            cancel: See the module.

        Returns:
            The complete labelmap file and the facts beside it.
        """
        if (case_id is None) == (session_id is None):
            raise ValueError("give either case_id or session_id")
        where = {"image": case_id} if session_id is None else {"session_id": session_id}
        wishes = {"allow_missing": allow_missing, "output_maps": output_maps}
        facts = {**self._who(), **(params or {}), **{wish: True for wish, wanted in wishes.items() if wanted}}
        body = multipart.form({"params": json.dumps(facts)})
        target = f"/infer/{quoted(model)}?{urlencode({**where, 'output': 'all'})}"
        request = Request("POST", target, body, self._headers, self._timeouts.infer)
        with self._transport.exchange(request, cancel=cancel) as response:
            return InferResult(*replies.read_result(response, Path(folder), name, progress))

    def download_map(
        self,
        result: InferResult,
        name: str,
        folder: PathLike,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Path:
        """Save a map of a segmentation as ``folder/name.nii.gz``; the server keeps maps for an hour.

        Args:
            result: What :meth:`infer` returned when it was asked for maps.
            name: ``probability_wt``, ``probability_tc``, ``probability_et`` or ``entropy``.
            folder: Created if missing.
            progress: See the module.
            cancel: See the module.
        """
        maps = result.params.get("maps") or {}
        if name not in maps:
            raise ValueError(f"this result has no map {name!r}; it has {', '.join(sorted(maps)) or 'none'}")
        target = maps[name]
        if not isinstance(target, str) or not _MAP_ADDRESS.fullmatch(target) or not _MAP_NAME.fullmatch(name):
            raise BadReply("The server names a map's address that is none.")
        return self._file(target, folder, name, progress, cancel)

    # ------------------------------------------------------------------ labels

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
            case_id: The case it belongs to.
            path: A labelmap on the case's reference grid.
            params: ``label_info`` (``[{"name": ..., "idx": ...}]``), ``comment``, ``model_version`` ...
            tag: ``final`` labels are trained on.
            progress: See the module.
            cancel: See the module.

        Returns:
            The server's record of the label.
        """
        body = multipart.form({"params": json.dumps({**self._who(), **(params or {})})}, [part("label", path, "label")])
        target = f"/datastore/label?{urlencode({'image': case_id, 'tag': tag})}"
        return self._object("PUT", target, body, progress, cancel)

    def labels(self, case_id: str) -> list[dict[str, Any]]:
        """Return the versions of a case's label, with who and when."""
        return self._list("GET", f"/cases/{quoted(case_id)}/labels", "labels")

    def download_label(
        self, case_id: str, version: str, folder: PathLike, cancel: threading.Event | None = None
    ) -> Path:
        """Save one version of a case's label in ``folder``."""
        return self._file(f"/cases/{quoted(case_id)}/labels/{quoted(version)}", folder, version, None, cancel)

    # ------------------------------------------------------------------ training

    def train(self, model: str = DEFAULT_MODEL, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Start a training, for example with ``{"max_epochs": 2}``; it runs on while this returns."""
        return self._object("POST", f"/train/{quoted(model)}", body=json_body({**self._who(), **(params or {})}))

    def train_status(self) -> dict[str, Any] | None:
        """Return the last training's task (``status``: RUNNING, DONE, ERROR, STOPPED ...); None if there was none."""
        try:
            return self._object("GET", "/train/")
        except RequestRejected as error:
            if error.status == 404:
                return None
            raise

    def train_stats(self, model: str = DEFAULT_MODEL) -> dict[str, Any]:
        """Return the live numbers of a training: epoch, total_epochs, train, eval, eta, message ..."""
        stats = self.info().get("train_stats") or {}
        return dict(stats.get(model) or {})

    def stop_training(self) -> dict[str, Any] | None:
        """Stop the running training; return its task, or None when nothing was running."""
        return self._json("DELETE", "/train/")

    # ------------------------------------------------------------------ model versions

    def versions(self) -> list[dict[str, Any]]:
        """Return the model versions, with their cards and which one is current."""
        return self._list("GET", "/versions", "versions")

    def promote(self, version: str) -> dict[str, Any]:
        """Make ``version`` the one that is served."""
        return self._object("POST", f"/versions/{quoted(version)}/promote", body=json_body(self._who()))

    def rollback(self) -> dict[str, Any]:
        """Go back to the version that was served before the last promotion."""
        return self._object("POST", "/versions/rollback", body=json_body(self._who()))
