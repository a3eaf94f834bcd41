"""The quarantine: files that cannot be used are moved there, never deleted, each with a line that says why.

``quarantine/<time>-<name>/<name>`` holds what was moved; ``quarantine/report.jsonl`` has one line for each.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from training.atomic import fsync_folder, make_folder
from training.clock import now

logger = logging.getLogger(__name__)

_REPORT = "report.jsonl"


class Quarantine:
    """The quarantine of one workspace.

    Args:
        root: Its folder, directly below the workspace; made when first needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    def of(cls, workspace: Path) -> Quarantine:
        """Return the quarantine of the workspace with this root."""
        return cls(workspace / "quarantine")

    def set_aside(self, path: Path, why: str, done: str = "") -> Path | None:
        """Move a file or folder into the quarantine and report it.

        Args:
            path: Inside the workspace.
            why: What is wrong with it.
            done: What replaces it, if anything.

        Returns:
            Where it is now; ``None`` if it cannot be moved, which must not keep a server from starting.
        """
        try:
            make_folder(self._root)
            stamp = now().replace(":", "").replace("+0000", "Z")
            target = Path(tempfile.mkdtemp(prefix=f"{stamp}-{path.name}-", dir=self._root)) / path.name
            os.replace(path, target)
            fsync_folder(target.parent)
            fsync_folder(path.parent)
            self.report(path, why, done, target)
        except OSError as error:
            logger.error("%s: %s It could not be moved to the quarantine: %s", self._below(path), why, error)
            return None
        return target

    def report(self, path: Path, why: str, done: str = "", target: Path | None = None) -> None:
        """Add a line to the report and to the log, also for something that was repaired in place."""
        make_folder(self._root)
        line = {
            "time": now(),
            "what": self._below(path),
            "why": why,
            "done": done,
            "moved_to": self._below(target) if target is not None else None,
        }
        logger.warning("%s: %s %s", line["what"], why, done)
        with open(self._root / _REPORT, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")
            handle.flush()
            os.fsync(handle.fileno())

    def entries(self) -> list[dict[str, Any]]:
        """Return the report's lines, oldest first; an incomplete line is skipped."""
        try:
            lines = (self._root / _REPORT).read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                found.append(entry)
        return found

    def _below(self, path: Path) -> str:
        try:
            return path.relative_to(self._root.parent).as_posix()
        except ValueError:
            return path.name
