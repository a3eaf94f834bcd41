"""Uploading volumes, each only once.

The server keeps uploaded volumes in a session. :class:`UploadedSession` records which volumes (by content and
geometry) a session holds, so that only changed volumes are sent again. If the server has dropped a session, a new one
is made. Volumes as they were scanned are an exception: the server keeps only what it has made of them, so all are sent
again when one has changed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Callable, TypeVar

from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import LocalFileError, RequestRejected
from TumorLoopLib.files import dicom_headers
from TumorLoopLib.files.nrrd import write_nrrd
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.preparation import AS_NEEDED, BrainMask, Preparing
from TumorLoopLib.jobs.stages import PREPARING, SENDING
from TumorLoopLib.scene.volumes import VolumeSnapshot, digest

Result = TypeVar("Result")
Digests = dict[str, str]


@dataclass
class UploadedSession:
    """The session of a server (empty if there is none), and what it holds. For one job at a time.

    Attributes:
        digests: Of its volumes, by role.
        as_scanned: What the server was told about them; see :class:`TumorLoopLib.jobs.preparation.Preparing`.
        brain: Digest of the brain mask that the server has cut them to; empty if it has not.
        brain_edited: Whether that is a mask of the user's.
    """

    server: str = ""
    session: str = ""
    digests: Digests = field(default_factory=dict)
    as_scanned: bool | None = None
    brain: str = ""
    brain_edited: bool = False

    def forget(self) -> None:
        """Record that the server no longer has the session."""
        self.session, self.digests = "", {}
        self.as_scanned, self.brain, self.brain_edited = None, "", False

    def record(self, server: str, session: str, digests: Digests) -> None:
        """Record what the server has now."""
        self.forget()
        self.server, self.session, self.digests = server, session, dict(digests)


@dataclass
class Uploader:
    """Uploads four volumes, for one job; updates ``uploaded``, which says what the server has already.

    Attributes:
        preparing: How the server is to prepare them.
    """

    client: TumorLoopClient
    snapshots: Mapping[str, VolumeSnapshot]
    uploaded: UploadedSession
    reporter: Reporter
    folder: Path
    preparing: Preparing = AS_NEEDED

    @cached_property
    def digests(self) -> Digests:
        """The digests of the volumes, by role."""
        digests = {}
        for role, snapshot in self.snapshots.items():
            self.reporter.stage(PREPARING)
            digests[role] = digest(snapshot)
        return digests

    @cached_property
    def mask(self) -> BrainMask | None:
        """The brain mask that the user has changed."""
        return self.preparing.brain_mask()

    def with_session(self, use: Callable[[str], Result]) -> Result:
        """Call ``use`` with a session that holds the volumes; again with a new one if the server has dropped it."""
        session = self._session()
        try:
            return use(session)
        except RequestRejected as error:
            if not is_expired(error):
                raise
        self.uploaded.forget()
        return use(self._session())

    def _session(self) -> str:
        uploaded, digests = self.uploaded, self.digests
        if uploaded.server != self.client.server_url or uploaded.as_scanned != self.preparing.as_scanned:
            uploaded.forget()
        if uploaded.session and uploaded.digests == digests and self._has_mask():
            return uploaded.session
        changed = [role for role in digests if uploaded.digests.get(role) != digests[role]]
        base = uploaded.session if 0 < len(changed) < len(digests) and not uploaded.brain else ""
        try:
            session = self._send(changed if base else list(digests), base)
        except RequestRejected as error:
            if not base or not is_expired(error):
                raise
            session = self._send(list(digests), "")
        uploaded.record(self.client.server_url, session, digests)
        uploaded.as_scanned = self.preparing.as_scanned
        if self.mask is not None:
            uploaded.brain, uploaded.brain_edited = self.mask.digest, True
        return session

    def _has_mask(self) -> bool:
        """Have the session cut to the user's brain mask; return whether it is, or there is none."""
        uploaded, mask = self.uploaded, self.mask
        if mask is None:
            return not uploaded.brain_edited
        if mask.digest == uploaded.brain:
            return True
        with temporary_folder(self.folder) as folder:
            try:
                self.client.cut_session(uploaded.session, self._write_mask(folder, mask), self.reporter.cancel)
            except RequestRejected as error:
                if error.field != "brain" and not is_expired(error):
                    raise
                return False  # the mask is larger somewhere, and what lay there is no longer on the server
        uploaded.brain, uploaded.brain_edited = mask.digest, True
        return True

    def _send(self, roles: list[str], base: str) -> str:
        self.reporter.stage(PREPARING)
        cancel = self.reporter.cancel
        with temporary_folder(self.folder) as folder:
            files = {role: folder / f"{role}.nrrd" for role in roles}

            def write(role: str) -> None:
                snapshot = self.snapshots[role]
                write_nrrd(files[role], snapshot.array, snapshot.ijk_to_ras, cancel=cancel)

            self.reporter.waiting(PREPARING, share=0.0)
            with ThreadPoolExecutor(len(roles)) as pool:  # compression releases the interpreter's lock
                for written, _none in enumerate(pool.map(write, roles), start=1):
                    self.reporter.waiting(PREPARING, share=written / len(roles))
            brain = None if self.mask is None else self._write_mask(folder, self.mask)
            dicom = dicom_headers.write_headers(self.preparing.headers, folder / "dicom.zip", cancel)
            self.reporter.stage(SENDING)
            create = partial(self.client.create_session, files, self.reporter.progress, cancel, base=base or None)
            try:
                return create(brain=brain, dicom=dicom)
            except RequestRejected as error:
                if dicom is None or error.field != "dicom":
                    raise
                return create(brain=brain)  # a volume that was resampled, for instance, is no longer its series

    def _write_mask(self, folder: Path, mask: BrainMask) -> Path:
        path = folder / "brain.nrrd"
        write_nrrd(path, *mask.image, cancel=self.reporter.cancel)
        return path


def is_expired(error: RequestRejected) -> bool:
    """Return whether the server reports that it no longer has a session."""
    return error.status == 404 and error.field in ("session", "session_id", "base")


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder that is deleted afterwards.

    Raises:
        LocalFileError: If it cannot be made.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="tumorloop-", dir=parent))
    except OSError as error:
        text = _("No temporary folder can be made in {folder} ({reason}).")
        raise LocalFileError(text.format(folder=parent, reason=error.strerror or error)) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
