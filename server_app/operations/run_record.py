"""How the server's last run ended, and that only one server uses a workspace.

``running.json`` in the workspace is written when the server starts and again when it shuts down properly. So the next
run recognizes that this one was killed, or that the machine lost power. ``running.lock`` beside it is locked as long as
the web process runs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import psutil

from server_app.operations import workspace_lock
from server_app.spawning import is_alive
from training.atomic import write_json
from training.clock import now
from training.errors import InputError


class RunRecord:
    """The record of one workspace.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = path.with_suffix(".lock")
        self._own: dict[str, Any] = {}
        #: One sentence about the last run if it was not shut down properly, else ``None``.
        self.accident: str | None = None

    @property
    def started(self) -> str | None:
        """When this run began, UTC."""
        return self._own.get("started")

    def check(self) -> None:
        """Check that no other server uses the workspace, and lock it for this process until it ends.

        Only the web process may call this: its subprocesses would be refused.

        Raises:
            InputError: If another server uses it.
        """
        if not workspace_lock.take(self._lock):
            raise _used_by(workspace_lock.holder(self._lock))
        # The only check where the file system has no locks.
        earlier = self._read()
        if earlier.get("pid") != os.getpid() and not earlier.get("ended") and is_alive(earlier):
            raise _used_by(str(earlier["pid"]))

    def begin(self) -> None:
        """Record that the server is running; raises InputError if another one uses the same workspace."""
        self.check()
        earlier = self._read()
        if earlier and not earlier.get("ended"):
            self.accident = (
                f"The server that was started at {earlier.get('started')} was not shut down properly: it was "
                "killed, or the machine went down. Everything that it acknowledged is stored."
            )
        process = psutil.Process()
        self._own = {"pid": process.pid, "process_started": process.create_time(), "started": now(), "ended": None}
        write_json(self._path, self._own)

    def end(self) -> None:
        """Record that the server shuts down properly."""
        if self._own:
            write_json(self._path, {**self._own, "ended": now()})

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}


def _used_by(process: str) -> InputError:
    return InputError(
        f"Another TumorLoop server (process {process}) uses this workspace. Stop it first, or choose another folder "
        "with --workspace.",
        field="workspace",
    )
