"""MONAI Label's sessions, kept in the workspace, with ids that are checked before they become part of a path.

``<id>/meta.info`` describes a session in MONAI Label's form; ``<id>/<name>`` is its file, or the folder of its files;
``<id>/answer/`` the model's last prediction, if any. A session appears complete or not at all.

What is sent may be a raw head, which shows a face. The first inference finds that out and puts the stripped volumes in
its place (:meth:`CheckedSessions.replace_images`); what was sent is deleted as soon as no other inference reads it. A
session that no inference has looked at is deleted when the server starts.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from monailabel.utils.sessions import SessionInfo, Sessions

from server_app.errors import unknown
from server_app.labels.predictions import SESSION_PREDICTION, Predictions
from training.atomic import publish_folder, write_text

_ID = re.compile(r"[0-9a-f-]{1,64}")
_UNFINISHED = ".new-"
#: Raised when ``meta.info`` is damaged, or removed by another thread at the same time.
_DAMAGED = (OSError, ValueError, KeyError, AttributeError, TypeError)

#: The entry of ``meta`` in ``meta.info`` with the :class:`State`.
_STATE = "preprocessing"
_META = "meta.info"
#: How the names of folders begin that replaced others.
_IMAGES = "images-"
#: How the names of files begin that are being written; see :mod:`training.atomic`.
_WRITING = ".writing-"

logger = logging.getLogger(__name__)


class State(Enum):
    """What is known of a session's volumes."""

    #: No inference has looked at them, or it was told not to: they may show the skull.
    WAITING = "waiting"
    #: They needed no preprocessing.
    NONE = "none"
    #: They were replaced by preprocessed ones.
    DONE = "done"


class CheckedSessions(Sessions):
    """Volumes sent for segmentation only; deleted when they expire. Thread-safe."""

    def __init__(self, store_path: str = "", expiry: int = 3600) -> None:
        super().__init__(store_path, expiry)
        self._lock = threading.RLock()
        self._in_use: Counter[str] = Counter()

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
            with contextlib.suppress(OSError), self._lock:  # reading must go on if the disk is full
                info.last_access_ts = int(time.time())
                self._write_meta_info(session_id, info)
        return info

    def _read(self, session_id: str, fetch_cache: bool) -> SessionInfo | None:
        """Return a session, ``None`` if there is none; raises one of :data:`_DAMAGED` if it is not valid."""
        if not _ID.fullmatch(session_id):
            return None
        with self._lock:  # what is read from the disk must not hide what is being written
            info = super().get_session(session_id, False, fetch_cache)
        if info is not None:
            folder = Path(self.store_path) / session_id
            # adding them up fails if they are not numbers
            if Path(info.image).resolve().parent != folder.resolve() or info.last_access_ts + info.expiry < 0:
                raise ValueError("it describes another session")
        return info

    def image(self, session_id: str, field: str = "session_id") -> Path:
        """Return the file of a session, or the folder of its files; 404 if there is no (or no longer) such session."""
        return Path(_found(self.get_session(session_id), session_id, field).image)

    def state(self, session_id: str) -> State:
        """Return what is known of the volumes of a session; 404 if there is no (or no longer) such session."""
        return _state_of(_found(self.get_session(session_id, update_ts=False), session_id, "session_id"))

    @contextlib.contextmanager
    def in_use(self, session_id: str) -> Iterator[None]:
        """Keep the files of a session while the block reads them, even if they are replaced in the meantime."""
        with self._lock:
            self._in_use[session_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_use[session_id] -= 1
                if self._in_use[session_id] <= 0:
                    del self._in_use[session_id]
                    self._remove_replaced(session_id)

    def examined(self, session_id: str) -> None:
        """Record that the volumes of a session need no preprocessing."""
        with self._lock:
            info = self.get_session(session_id, update_ts=False)
            if info is not None and _state_of(info) is State.WAITING:
                info.meta = {_STATE: State.NONE.value}
                self._write_meta_info(session_id, info)

    def replace_images(self, session_id: str, images: Path, *, by: State = State.DONE) -> Path | None:
        """Replace the files of a session; what it had is deleted as soon as nothing reads it.

        Args:
            session_id: The session.
            images: A folder on the same file system; moved into the session.
            by: What is known of these volumes.

        Returns:
            The folder in the session; ``None`` if the session was deleted in the meantime.

        Raises:
            HTTPException: 404 if it was deleted before.
        """
        target = self.image(session_id).parent / f"{_IMAGES}{uuid.uuid4().hex[:8]}"
        with self.in_use(session_id), contextlib.suppress(FileNotFoundError):  # deleted just now
            publish_folder(images, target)
            with self._lock:
                info = self.get_session(session_id)
                if info is not None:
                    info.image, info.meta = str(target), {_STATE: by.value}
                    self._write_meta_info(session_id, info)
                    return target
        return None

    def remove_unexamined(self) -> int:
        """Delete what an earlier server has left: sessions that may hold raw heads, and files that were replaced.

        Returns:
            How many sessions were deleted.
        """
        count = 0
        for name in os.listdir(self.store_path) if os.path.isdir(self.store_path) else []:
            folder = Path(self.store_path) / name
            if name.startswith(_UNFINISHED):
                shutil.rmtree(folder, ignore_errors=True)
            elif _ID.fullmatch(name):
                info = self.get_session(name, update_ts=False)
                if info is None or _state_of(info) is State.WAITING:
                    self.remove_session(name)
                    count += 1
                else:
                    self._remove_replaced(name)
        return count

    def _remove_replaced(self, session_id: str) -> None:
        """Delete the files of a session that were replaced, unless they are being read."""
        info = self.get_session(session_id, update_ts=False)
        if info is None or self._in_use[session_id] or not Path(info.image).name.startswith(_IMAGES):
            return
        kept = {_META, Path(info.image).name, SESSION_PREDICTION}
        for path in (Path(self.store_path) / session_id).iterdir():
            if path.name not in kept and not path.name.startswith(_WRITING):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

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
        info.name, info.path, info.image, info.meta = session_id, str(folder), str(image), {_STATE: State.WAITING.value}
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
        write_text(Path(self.store_path) / session_id / _META, session_info.to_str())


def _found(info: SessionInfo | None, session_id: str, field: str) -> SessionInfo:
    """Return a session that was looked for; 404 if there is no (or no longer) such session."""
    if info is None:
        message = f"There is no session {session_id[:64]!r}; it may have expired. Send the files again."
        raise unknown(field, message)
    return info


def _state_of(info: SessionInfo) -> State:
    try:
        return State(info.meta[_STATE])
    except (KeyError, TypeError, ValueError):
        return State.WAITING
