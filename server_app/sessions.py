"""MONAI Label's sessions, kept in the workspace, whose ids are checked before they become a path."""

from __future__ import annotations

import os
import re
import time

from monailabel.utils.sessions import SessionInfo, Sessions

_ID = re.compile(r"[0-9a-f-]{1,64}")


class CheckedSessions(Sessions):
    """Volumes sent for segmentation only; forgotten after their time."""

    def get_session(self, session_id: str, update_ts: bool = True, fetch_cache: bool = True) -> SessionInfo | None:
        """Return a session; ``None`` if there is none, or the id is none."""
        return super().get_session(session_id, update_ts, fetch_cache) if _ID.fullmatch(session_id) else None

    def remove_session(self, session_id: str) -> None:
        """Forget a session and delete its files."""
        if _ID.fullmatch(session_id):
            super().remove_session(session_id)

    def remove_expired(self) -> int:
        """Forget the sessions whose time is over, and what is left of broken ones; return how many."""
        count = 0
        for name in os.listdir(self.store_path) if os.path.isdir(self.store_path) else []:
            info = self.get_session(name, update_ts=False, fetch_cache=False)
            if info is None or info.last_access_ts + info.expiry < time.time():
                self.remove_session(name)
                count += 1
        return count
