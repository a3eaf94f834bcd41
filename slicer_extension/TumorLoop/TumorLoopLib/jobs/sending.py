"""Getting volumes to the server, each only once.

The server keeps what it was sent in a session. :class:`Sent` remembers which volumes (by content and geometry) lie in
which session, so that unchanged volumes are not sent again: not at all when none changed, and without the unchanged
ones when some did. A session that the server has forgotten is made anew.
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

#: Stages, as a :class:`~TumorLoopLib.jobs.jobs.Reporter` tells them.
PREPARING = "preparing"
SENDING = "sending"

Result = TypeVar("Result")
Digests = dict[str, str]


@dataclass
class Sent:
    """What one server holds of this panel's volumes. Used by one job at a time.

    Attributes:
        server: Address of the server.
        session: Id of the session; empty when there is none.
        digests: Content of the volumes in the session, by role.
    """

    server: str = ""
    session: str = ""
    digests: Digests = field(default_factory=dict)

    def forget(self) -> None:
        """Note that the server no longer has anything."""
        self.session, self.digests = "", {}

    def remember(self, server: str, session: str, digests: Digests) -> None:
        """Note what the server has now."""
        self.server, self.session, self.digests = server, session, dict(digests)


class Sender:
    """Brings four volumes to a server, for one job.

    Args:
        client: Of the server.
        snapshots: The volumes by role.
        sent: What the server is known to have; updated here.
        reporter: Of the job.
        folder: Where temporary files may go.
    """

    def __init__(
        self,
        client: TumorLoopClient,
        snapshots: Mapping[str, VolumeSnapshot],
        sent: Sent,
        reporter: Reporter,
        folder: Path,
    ) -> None:
        self._client = client
        self._snapshots = snapshots
        self._sent = sent
        self._reporter = reporter
        self._folder = folder
        self._digests: Digests | None = None

    @property
    def digests(self) -> Digests:
        """The content of the volumes, by role; computed once."""
        if self._digests is None:
            self._digests = {}
            for role, snapshot in self._snapshots.items():
                self._reporter.stage(PREPARING)
                self._digests[role] = digest(snapshot)
        return self._digests

    def with_session(self, use: Callable[[str], Result]) -> Result:
        """Call ``use`` with a session that holds the volumes; once more, if the server had forgotten the first one."""
        session = self._session()
        try:
            return use(session)
        except RequestRejected as error:
            if not is_expired(error):
                raise
        self._sent.forget()
        return use(self._session())

    def _session(self) -> str:
        sent, digests = self._sent, self.digests
        if sent.server != self._client.server_url:
            sent.forget()
        if sent.session and sent.digests == digests:
            return sent.session
        changed = [role for role in digests if sent.digests.get(role) != digests[role]]
        base = sent.session if len(changed) < len(digests) else ""
        try:
            session = self._send(changed, base)
        except RequestRejected as error:
            if not base or not is_expired(error):
                raise
            session = self._send(list(digests), "")
        sent.remember(self._client.server_url, session, digests)
        return session

    def _send(self, roles: list[str], base: str) -> str:
        self._reporter.stage(PREPARING)
        with scratch(self._folder) as folder:
            files = {}
            for position, role in enumerate(roles):
                self._reporter.waiting(PREPARING, share=position / len(roles))
                snapshot = self._snapshots[role]
                cancel = self._reporter.cancel
                write_nrrd(folder / f"{role}.nrrd", snapshot.array, snapshot.ijk_to_ras, cancel=cancel)
                files[role] = folder / f"{role}.nrrd"
            self._reporter.stage(SENDING)
            session = self._client.create_session(
                files, self._reporter.progress, self._reporter.cancel, base=base or None
            )
            return session


def is_expired(error: RequestRejected) -> bool:
    """Tell whether the server says that it no longer has a session."""
    return error.status == 404 and error.field in ("session", "session_id", "base")


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Yield a new folder inside ``folder`` that is gone afterwards.

    Raises:
        LocalFileError: If there is no room for it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix="tumorloop-", dir=folder))
    except OSError as error:
        text = _("No temporary folder can be made in {folder} ({reason}).")
        raise LocalFileError(text.format(folder=folder, reason=error.strerror or error)) from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
