"""MONAI Label's sessions, kept in the workspace, with ids that are checked before they become part of a path.

``<id>/meta.info`` describes a session in MONAI Label's form; ``<id>/<name>`` is its file, or the folder of its files;
``<id>/answer/`` the model's last prediction, if any. A session appears complete or not at all.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import time
import uuid
from pathlib import Path

from monailabel.utils.sessions import SessionInfo, Sessions

from server_app.errors import unknown
from server_app.labels.predictions import Predictions
from training.atomic import write_text

_ID = re.compile(r"[0-9a-f-]{1,64}")
_UNFINISHED = ".new-"
#: Raised when ``meta.info`` is damaged, or removed by another thread at the same time.
_DAMAGED = (OSError, ValueError, KeyError, AttributeError, TypeError)

logger = logging.getLogger(__name__)


class CheckedSessions(Sessions):
    """Volumes sent for segmentation only; deleted when they expire."""

    def __bool__(self) -> bool:
        """Return ``True``: MONAI Label would never clean up an empty ``dict``, and sessions are loaded on first use."""
        return True

    def get_session(self, session_id: str, update_ts: bool = True, fetch_cache: bool = True) -> SessionInfo | None:
        """Return a session; ``None`` if there is none, its description is damaged, or the id is not valid."""
        try:
            info = self._read(session_id, fetch_cache)
        except _DAMAGED as error:
            logger.warning("The session %s cannot be read: %s", session_id, error)
            return None
        if info is not None and update_ts:
            info.last_access_ts = int(time.time())
            with contextlib.suppress(OSError):  # reading must go on if the disk is full
                self._write_meta_info(session_id, info)
        return info

    def _read(self, session_id: str, fetch_cache: bool) -> SessionInfo | None:
        """Return a session, ``None`` if there is none; raises one of :data:`_DAMAGED` if it is not valid."""
        if not _ID.fullmatch(session_id):
            return None
        info = super().get_session(session_id, False, fetch_cache)
        if info is not None:
            folder = Path(self.store_path) / session_id
            # adding them up fails if they are not numbers
            if Path(info.image).resolve().parent != folder.resolve() or info.last_access_ts + info.expiry < 0:
                raise ValueError("it describes another session")
        return info

    def image(self, session_id: str, field: str = "session_id") -> Path:
        """Return the file of a session, or the folder of its files; 404 if there is no (or no longer) such session."""
        info = self.get_session(session_id)
        if info is None:
            message = f"There is no session {session_id[:64]!r}; it may have expired. Send the files again."
            raise unknown(field, message)
        return Path(info.image)

    def predictions(self, session_id: str) -> Predictions:
        """Return the model's prediction for a session."""
        return Predictions(self.image(session_id).parent)

    def add_session(
        self, data_file: str, expiry: int = 0, uncompress: bool = False, session_id: str | None = None
    ) -> tuple[str, SessionInfo]:
        """Keep a file, or a folder of files, as a session.

        Args:
            data_file: Moved into the session.
            expiry: Seconds until it expires; at most the server's own.
            uncompress: Not supported.
            session_id: Default is a new one.

        Returns:
            Its id and description.
        """
        assert not uncompress
        session_id = session_id or str(uuid.uuid4())
        folder = Path(self.store_path) / session_id
        unfinished = Path(self.store_path) / f"{_UNFINISHED}{session_id}"
        image = folder / os.path.basename(data_file)
        info = SessionInfo()
        info.name, info.path, info.image, info.meta = session_id, str(folder), str(image), {}
        info.create_ts = info.last_access_ts = int(time.time())
        info.expiry = min(expiry, self.expiry) if expiry > 0 else self.expiry
        try:
            unfinished.mkdir(parents=True)
            shutil.move(data_file, unfinished / image.name)
            self._write_meta_info(unfinished.name, info)
            os.replace(unfinished, folder)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        self[session_id] = info
        return session_id, info

    def remove_session(self, session_id: str) -> None:
        """Delete a session and its files."""
        if _ID.fullmatch(session_id):
            self.pop(session_id, None)  # MONAI Label's own code fails if another thread does the same
            super().remove_session(session_id)

    def remove_expired(self) -> int:
        """Delete expired sessions and the remains of damaged ones; return how many."""
        count = 0
        for name in os.listdir(self.store_path) if os.path.isdir(self.store_path) else []:
            if name.startswith(_UNFINISHED):  # of a server that was killed, or being written now
                self._remove_old(Path(self.store_path) / name)
                continue
            count += self._remove_if_expired(name)
        return count

    def _remove_if_expired(self, name: str) -> bool:
        """Delete a session if it has expired, or is damaged and old; return whether it was."""
        try:
            info = self._read(name, fetch_cache=False)
            if info is not None and info.last_access_ts + info.expiry >= time.time():
                return False
        except _DAMAGED as error:  # or it is being removed
            logger.warning("The session %s cannot be read: %s", name, error)
            self.pop(name, None)
            return self._remove_old(Path(self.store_path) / name)
        self.remove_session(name)
        return True

    def _remove_old(self, folder: Path) -> bool:
        """Delete a folder that is older than the server's expiry; return whether it was."""
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime + self.expiry < time.time():
                shutil.rmtree(folder, ignore_errors=True)
                return True
        return False

    def _write_meta_info(self, session_id: str, session_info: SessionInfo) -> None:
        write_text(Path(self.store_path) / session_id / "meta.info", session_info.to_str())
