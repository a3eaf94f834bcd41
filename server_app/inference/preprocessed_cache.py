"""Preprocessed volumes of raw cases in the studies folder, so that each is preprocessed once, not at every inference.

They are kept in the cache, which can be deleted at any time, and are stripped, unlike the files in the studies folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from pathlib import Path

from server_app.cases.case_ids import images_digest
from server_app.cases.preprocessed import record_of
from server_app.cases.preprocessing_options import PreprocessingOptions
from training.atomic import publish_folder
from training.cases.case import Case
from training.preprocessing.preprocess import PREPROCESSING_VERSION

#: Maximum number of cases kept, and of seconds after their last use.
KEEP, KEEP_SECONDS = 32, 30 * 24 * 3600.0


class PreprocessedCache:
    """Preprocessed cases below ``root``, one folder each. Thread-safe and process-safe.

    Args:
        root: Made when first needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(
        self,
        case: Case,
        images: str | None = None,
        reference: str | None = None,
        options: PreprocessingOptions | None = None,
    ) -> Path | None:
        """Return the folder of a case that was preprocessed before; ``None`` if it was not.

        Args:
            case: As it is in the studies folder.
            images: SHA-256 over its images, if it was just computed.
            reference: The role in whose frame it was put.
            options: What the client says.
        """
        if not self._root.is_dir():
            return None
        folder = self._folder(case, images, reference, options or PreprocessingOptions())
        if record_of(folder) is None:
            return None
        with contextlib.suppress(OSError):
            os.utime(folder)
        return folder

    def keep(
        self,
        made: Path,
        case: Case,
        images: str | None = None,
        reference: str | None = None,
        options: PreprocessingOptions | None = None,
    ) -> None:
        """Keep what preprocessing has made of a case; what cannot be kept is not an error."""
        with contextlib.suppress(OSError):
            self._root.mkdir(parents=True, exist_ok=True)
            publish_folder(made, self._folder(case, images, reference, options or PreprocessingOptions()))
            self.prune()

    def prune(self) -> None:
        """Remove what was not used for long or exceeds the limit."""
        found = []
        for folder in self._root.iterdir() if self._root.is_dir() else []:
            with contextlib.suppress(OSError):  # another thread was faster
                found.append((folder.stat().st_mtime, folder))
        for number, (at, folder) in enumerate(sorted(found, reverse=True), start=1):
            if number > KEEP or time.time() - at > KEEP_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, case: Case, images: str | None, reference: str | None, options: PreprocessingOptions) -> Path:
        parts = (PREPROCESSING_VERSION, images or images_digest(case), reference or "t1ce", options)
        return self._root / hashlib.sha256(repr(parts).encode()).hexdigest()
