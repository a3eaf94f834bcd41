"""``current.json`` of a model store: which versions were promoted, and which one is current before any was."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from training.atomic import write_json
from training.models.bundle import BUNDLED_ID, is_version_id

#: Errors in reading a damaged file.
DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError)


class Promotions:
    """The file in the folder of a store; read at each call.

    Args:
        root: Folder of the store.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "current.json"

    def history(self) -> list[dict[str, str]]:
        """Return the promotions in effect, oldest first; raises one of :data:`DAMAGED` if they cannot be read."""
        try:
            return list(self._state()["history"])
        except FileNotFoundError:
            return []

    def initial(self) -> str:
        """Return the recorded id of the version that is current before any is promoted; empty if there is none."""
        with contextlib.suppress(*DAMAGED):
            return str(self._state()["initial"])
        return ""

    def own(self) -> set[str]:
        """Return the ids of promoted versions that were not bundled ones, whether or not they still exist."""
        with contextlib.suppress(*DAMAGED):
            entries = [entry for entry in self.history() if entry.get("origin") != "bundled"]
            return {str(entry["version"]) for entry in entries if is_version_id(str(entry["version"]))} - {BUNDLED_ID}
        return set()

    def write(self, history: list[dict[str, str]]) -> None:
        """Replace the promotions by ``history``, which must not be empty."""
        state = {"current": history[-1]["version"], "history": history}
        initial = self.initial()
        write_json(self._path, {**state, "initial": initial} if initial else state)

    def record_initial(self, version: str) -> None:
        """Record the version that is current before any is promoted, unless one was promoted already."""
        if version != self.initial() and not self.history():
            write_json(self._path, {"current": version, "history": [], "initial": version})

    def _state(self) -> dict[str, Any]:
        return dict(json.loads(self._path.read_text(encoding="utf-8")))
