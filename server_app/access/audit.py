"""The audit log: who did what, one JSON object per line, appended and never changed.

``audit/2026-11.jsonl`` and so on, readable only by the server's user. A line has ``time``, ``request`` (its id),
``user``, ``role``, ``method``, ``route`` (the route's template, since a path could contain a patient's name), ``event``
(``begin``, ``end`` or ``refused``), ``status`` and the facts passed to :func:`server_app.common.request_notes.note`:
the case's id, versions, hashes. It never contains a token, a file name or a parameter.

A change has a ``begin`` line on the disk before it happens and an ``end`` line before the client gets the response:
after a power failure, a ``begin`` without an ``end`` shows what to check. Several processes may append.
"""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from training.atomic import fsync_folder

#: Maximum number of refusals of unknown senders logged per minute, so that nobody can fill the disk with them.
MAX_REFUSALS = 100


class AuditLog:
    """Appends lines to the month's file. Thread-safe and process-safe.

    Args:
        folder: Holds the log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._minute, self._refusals = 0, 0

    def append(self, entry: dict[str, Any], *, durable: bool) -> None:
        """Append a line with the time; if ``durable``, return only when it is on disk. OSError if that fails."""
        now = datetime.now(timezone.utc)
        line = json.dumps({"time": now.isoformat(timespec="milliseconds"), **entry}) + "\n"
        path = self._folder / f"{now:%Y-%m}.jsonl"
        new = not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            with self._lock:  # not held during fsync, so that several lines can share it
                _append(descriptor, line.encode())
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if durable and new:
            fsync_folder(self._folder)

    def append_refusal(self, entry: dict[str, Any]) -> None:
        """Append a line about an unknown sender, unless there are too many; the next line written has their number."""
        with self._lock:
            minute, unwritten = int(time.monotonic() // 60), 0
            if minute != self._minute:
                unwritten = max(0, self._refusals - MAX_REFUSALS)
                self._minute, self._refusals = minute, 0
            self._refusals += 1
            if self._refusals > MAX_REFUSALS:
                return
        self.append({**entry, **({"unwritten_before": unwritten} if unwritten else {})}, durable=False)


def _append(descriptor: int, line: bytes) -> None:
    """Write a line at once; if the last one is incomplete (power failure, full disk), start a new one."""
    size = os.fstat(descriptor).st_size
    torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    content = b"\n" + line if torn else line
    written = os.write(descriptor, content)
    if written < len(content):
        os.ftruncate(descriptor, size)
        raise OSError(28, "No space left on device")
