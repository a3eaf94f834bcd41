"""Uploading volumes, each only once.

The server keeps uploaded volumes in a session. :class:`UploadedSession` records which volumes (by content and
geometry) a session holds, so that only changed volumes are sent again. If the server has dropped a session, a new one
is made.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, TypeVar

from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import LocalFileError, RequestRejected
from TumorLoopLib.files.nrrd import write_nrrd
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.scene.volumes import VolumeSnapshot, digest

#: Stages that a :class:`~TumorLoopLib.jobs.jobs.Reporter` reports.
PREPARING = "preparing"
SENDING = "sending"

Result = TypeVar("Result")
Digests = dict[str, str]


@dataclass
class UploadedSession:
    """The session of a server (empty if there is none), and its volumes' digests by role. For one job at a time."""

    server: str = ""
    session: str = ""
    digests: Digests = field(default_factory=dict)

    def forget(self) -> None:
        """Record that the server no longer has the session."""
        self.session, self.digests = "", {}

    def record(self, server: str, session: str, digests: Digests) -> None:
        """Record what the server has now."""
        self.server, self.session, self.digests = server, session, dict(digests)


@dataclass
class Uploader:
    """Uploads four volumes, for one job; updates ``uploaded``, which says what the server has already."""

    client: TumorLoopClient
    snapshots: Mapping[str, VolumeSnapshot]
    uploaded: UploadedSession
    reporter: Reporter
    folder: Path
    _digests: Digests | None = None

    @property
    def digests(self) -> Digests:
        """The digests of the volumes, by role; computed once."""
        if self._digests is None:
            self._digests = {}
            for role, snapshot in self.snapshots.items():
                self.reporter.stage(PREPARING)
                self._digests[role] = digest(snapshot)
        return self._digests

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
        if uploaded.server != self.client.server_url:
            uploaded.forget()
        if uploaded.session and uploaded.digests == digests:
            return uploaded.session
        changed = [role for role in digests if uploaded.digests.get(role) != digests[role]]
        base = uploaded.session if len(changed) < len(digests) else ""
        try:
            session = self._send(changed, base)
        except RequestRejected as error:
            if not base or not is_expired(error):
                raise
            session = self._send(list(digests), "")
        uploaded.record(self.client.server_url, session, digests)
        return session

    def _send(self, roles: list[str], base: str) -> str:
        self.reporter.stage(PREPARING)
        with temporary_folder(self.folder) as folder:
            files = {}
            for position, role in enumerate(roles):
                self.reporter.waiting(PREPARING, share=position / len(roles))
                snapshot = self.snapshots[role]
                cancel = self.reporter.cancel
                write_nrrd(folder / f"{role}.nrrd", snapshot.array, snapshot.ijk_to_ras, cancel=cancel)
                files[role] = folder / f"{role}.nrrd"
            self.reporter.stage(SENDING)
            session = self.client.create_session(files, self.reporter.progress, self.reporter.cancel, base=base or None)
            return session


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
