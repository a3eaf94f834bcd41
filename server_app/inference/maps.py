"""Maps of the model's uncertainty, kept for a while so that the client can fetch them.

An inference's reply contains the labelmap and facts; its maps are fetched separately, at an address that cannot be
guessed. They are kept for an hour, and only those of the last few inferences.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from server_app.errors import unknown

#: Inferences whose maps are kept: each takes some tens of MB.
KEEP = 16
#: Seconds maps are kept.
KEEP_SECONDS = 3600.0
_ID = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[a-z_]{1,40}\.nii\.gz")


class MapStore:
    """Maps below ``root``, one folder per inference. Thread-safe: every inference has its own folder.

    Args:
        root: Made when first needed.
        keep: Maximum number of inferences whose maps are kept.
        seconds: How long they are kept.
    """

    def __init__(self, root: Path, *, keep: int = KEEP, seconds: float = KEEP_SECONDS) -> None:
        self._root = root
        self._keep = keep
        self._seconds = seconds
        self._filling: set[Path] = set()

    @contextlib.contextmanager
    def new_folder(self) -> Iterator[Path]:
        """Yield a new folder to be filled with ``<name>.nii.gz``; it is removed if that fails.

        Older folders are removed for it, except those still being filled: an inference may wait for long.
        """
        folder = self._root / secrets.token_hex(16)
        self._filling.add(folder)
        try:
            folder.mkdir(parents=True)
            self.prune()
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            self._filling.discard(folder)

    def addresses(self, folder: Path, names: Iterable[str]) -> dict[str, str]:
        """Return the addresses of the maps of a folder, by name."""
        return {name: f"/maps/{folder.name}/{name}.nii.gz" for name in names}

    def file(self, map_id: str, name: str) -> Path:
        """Return the file of a map; 404 if there is none, or no longer one."""
        if _ID.fullmatch(map_id) and _NAME.fullmatch(name):
            path = self._root / map_id / name
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime <= self._seconds:
                    return path
        raise unknown(
            "map", f"There is no map {name[:60]!r} at this address; maps are kept for an hour. Request it again."
        )

    def prune(self) -> None:
        """Remove what is too old or exceeds the limit."""
        ages: list[tuple[float, Path]] = []
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            try:
                ages.append((time.time() - folder.stat().st_mtime, folder))
            except FileNotFoundError:  # another request was faster
                continue
        for number, (age, folder) in enumerate(sorted(ages)):
            if folder not in self._filling and (number >= self._keep or age > self._seconds):
                shutil.rmtree(folder, ignore_errors=True)
