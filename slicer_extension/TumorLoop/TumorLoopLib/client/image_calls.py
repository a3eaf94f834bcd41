"""Calls of the client that upload and download images: cases, sessions, samples."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from TumorLoopLib.client import multipart
from TumorLoopLib.client.caller import (
    Caller,
    PathLike,
    file_part,
    json_body,
    quoted,
    text_value,
    volumes_form,
    with_ending,
)
from TumorLoopLib.client.transport import Progress


class ImageCalls(Caller):
    """Cases and sessions; a part of :class:`~TumorLoopLib.client.client.TumorLoopClient`."""

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
            progress: See :mod:`TumorLoopLib.client.client`.
            cancel: See :mod:`TumorLoopLib.client.client`.

        Returns:
            The server's description of the case.
        """
        return self._object("PUT", f"/cases/{quoted(case_id)}", volumes_form(volumes), progress, cancel)

    def case_from_session(
        self,
        case_id: str,
        session_id: str,
        cancel: threading.Event | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        job: str | None = None,
    ) -> dict[str, Any]:
        """Store the volumes of a session as a case, without uploading them again.

        Volumes as they were scanned are stored registered and skull-stripped, which takes a minute if no segmentation
        of the session has done it before.

        Args:
            case_id: Letters, digits, ``-`` and ``_``.
            session_id: What :meth:`create_session` returned.
            cancel: See :mod:`TumorLoopLib.client.client`.
            params: ``as_scanned`` and ``force``, as for :meth:`TumorLoopClient.infer`.
            job: An id chosen by the caller, for :meth:`TumorLoopClient.job` and :meth:`TumorLoopClient.cancel_job`.

        Returns:
            The server's description of the case. The same volumes under the same id are the same case. Other
            volumes under an existing id are rejected (409, field ``image``), and so is an expired session (404, field
            ``session_id``).
        """
        target = f"/cases/{quoted(case_id)}?{urlencode({'session_id': session_id, **self._identity()})}"
        sent = {**(params or {}), **({"job": job} if job is not None else {})}
        body = multipart.form({"params": json.dumps(sent)}) if sent else None
        return self._object("PUT", target, body, cancel=cancel, timeout=self._timeouts.infer)

    def create_session(
        self,
        volumes: Mapping[str, PathLike],
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
        *,
        allow_missing: bool = False,
        base: str | None = None,
        brain: PathLike | None = None,
        dicom: PathLike | None = None,
    ) -> str:
        """Upload four volumes for segmentation only; the server deletes them after an hour.

        Args:
            volumes: The file of each role.
            progress: See :mod:`TumorLoopLib.client.client`.
            cancel: See :mod:`TumorLoopLib.client.client`.
            allow_missing: Accept fewer than four, at least one; :meth:`infer` must then allow it, too.
            base: An earlier session that supplies the roles missing in ``volumes``. An expired one is rejected (404,
                field ``base``): upload all volumes again. So is one whose volumes the server has preprocessed.
            brain: A brain mask for volumes as they were scanned, instead of the one that the server would find.
            dicom: A ZIP with the DICOM files of the reference series, of which the server keeps the headers; needed for
                DICOM SEG.

        Returns:
            The session's id, for :meth:`infer` and :meth:`case_from_session`.
        """
        query = {**({"allow_missing": "true"} if allow_missing else {}), **({"base": base} if base else {})}
        target = f"/session/?{urlencode(query)}" if query else "/session/"
        answer = self._object("PUT", target, volumes_form(volumes, brain, dicom), progress, cancel)
        return text_value(answer, "session_id")

    def session_brain(self, session_id: str, folder: PathLike, cancel: threading.Event | None = None) -> Path:
        """Save the brain mask that the volumes of a session were cut to as ``folder/brain.nrrd``."""
        target = with_ending(f"/session/{quoted(session_id)}/brain", ".nrrd")
        return self._file(target, folder, "brain", None, cancel)

    def case_brain(self, case_id: str, folder: PathLike, cancel: threading.Event | None = None) -> Path:
        """Save the brain mask that the volumes of a case were cut to as ``folder/brain.nrrd``."""
        return self._file(with_ending(f"/cases/{quoted(case_id)}/brain", ".nrrd"), folder, "brain", None, cancel)

    def cut_session(self, session_id: str, brain: PathLike, cancel: threading.Event | None = None) -> dict[str, Any]:
        """Cut the volumes of a session to a smaller brain mask.

        A mask that adds anything is rejected (422, field ``brain``): the server has deleted what lies outside. Then
        upload the volumes again with the mask.
        """
        body = multipart.form({}, [file_part("brain", brain, "brain")])
        return self._object("PUT", f"/session/{quoted(session_id)}/brain", body, cancel=cancel)

    def upload_image(
        self,
        case_id: str,
        path: PathLike,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> str:
        """Store one 4D file (NIfTI or NRRD with all modalities) as a case; return its id on the server."""
        body = multipart.form({"params": json.dumps(self._identity())}, [file_part("file", path, "volume")])
        answer = self._object("PUT", f"/datastore/?{urlencode({'image': case_id})}", body, progress, cancel)
        return text_value(answer, "image")

    def download_image(
        self,
        case_id: str,
        folder: PathLike,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Path:
        """Save the reference volume of a case (T1ce) in ``folder``, in the format it has on the server."""
        target = f"/datastore/image?{urlencode({'image': case_id})}"
        return self._file(target, folder, "image", progress, cancel)

    def download_volume(
        self,
        case_id: str,
        role: str,
        folder: PathLike,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Path:
        """Save one volume of a case as ``folder/<role>.nrrd``, regardless of its format on the server.

        Args:
            case_id: A case of the server.
            role: ``t1``, ``t1ce``, ``t2`` or ``flair``.
            folder: Created if missing.
            progress: See :mod:`TumorLoopLib.client.client`.
            cancel: See :mod:`TumorLoopLib.client.client`.
        """
        target = f"/cases/{quoted(case_id)}/volumes/{quoted(role)}"
        return self._file(target, folder, role, progress, cancel, self._timeouts.check)

    def make_sample(self, seed: int | None = None, cancel: threading.Event | None = None) -> dict[str, Any]:
        """Have the server generate a synthetic case with a tumor, to try things out; takes some seconds.

        Args:
            seed: The same seed gives the same case; None uses the next one without a case.
            cancel: See :mod:`TumorLoopLib.client.client`.

        Returns:
            The server's description of the case; its ``id`` is ``sample-<seed>``.
        """
        body = json_body({**self._identity(), **({} if seed is None else {"seed": seed})})
        return self._object("POST", "/samples", body, cancel=cancel, timeout=self._timeouts.infer)
