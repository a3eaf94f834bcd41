"""The labeled cases as one archive: one at a time, only if the disk has space, and removed once it was sent."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi.responses import FileResponse

from server_app.errors import refusal
from server_app.settings import Limits

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from server_app.cases.datastore import CaseDatastore


class DatasetDownload:
    """Packs and sends the labeled cases.

    Args:
        store: Holds the cases.
    """

    def __init__(self, store: CaseDatastore) -> None:
        self._store = store
        self._lock = threading.Lock()

    def answer(self, limit_cases: int | None = None) -> FileResponse:
        """Return a response with the labeled cases, up to a limit; the next archive can be made when it ends.

        Raises:
            HTTPException: 503 while another archive is packed or sent, 507 if the disk has no space for it.
        """
        if not self._lock.acquire(blocking=False):
            message = "The labeled cases are being packed or sent to another client. Try again when that is done."
            error = refusal(503, "dataset", message)
            error.headers = {"Retry-After": "30"}
            raise error
        try:
            self._check_space(limit_cases)
            return _Archive(Path(self._store.get_dataset_archive(limit_cases)), self._lock)
        except BaseException:
            self._lock.release()
            raise

    def _check_space(self, limit_cases: int | None) -> None:
        needed = 0
        for name in self._store.get_labeled_images()[: limit_cases or None]:
            case = self._store.catalog.get(name)
            paths = {path for source in case.sources.values() for path in source.files}
            needed += sum(path.stat().st_size for path in {*paths, self._store.labels.final_file(case)})
        free = shutil.disk_usage(self._store.workspace.incoming).free
        if free - needed < Limits.of_server().min_free_bytes:
            message = (
                f"The archive needs {needed / 2**20:,.0f} MiB, and the server's disk has no space beyond what is "
                "reserved for labels. Ask for fewer cases (limit_cases)."
            )
            raise refusal(507, "disk", message)


class _Archive(FileResponse):
    """Sends the archive and then removes it, even after an error, when a background task would not run."""

    def __init__(self, path: Path, lock: threading.Lock) -> None:
        super().__init__(path, media_type="application/zip", filename="dataset.zip")
        self._lock = lock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            Path(self.path).unlink(missing_ok=True)
            self._lock.release()
