"""Routes whose forms are limited, are not ambiguous, and that report a full disk."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from server_app.common.read_limit import busy
from server_app.disk import DISK_FULL, is_disk_full
from server_app.errors import refusal
from training.repeated import first_repeated
from training.spans import span

if TYPE_CHECKING:
    from starlette.datastructures import FormData

#: Maximum number of files and of other fields in one form: four modalities, a label, and what belongs to them.
MAX_FILES, MAX_FIELDS = 16, 32
#: The same for the routes that take DICOM files, of which a series has hundreds.
MAX_DICOM_FILES = 1000
_DICOM_PATHS = ("/session/", "/cases/{case_id}")
#: Forms with more files than :data:`MAX_FILES` that are received at once: files of less than 1 MiB are held in memory.
_LARGE_FORMS = threading.BoundedSemaphore(2)
#: What is in the header of each file of a form; in any other place it only makes the form count as a larger one.
_FILE = b"filename="
#: The one field that may occur several times in a form.
_LIST = "files"


class UploadRoute(APIRoute):
    """A route that answers 507 when the disk is full, even while the request's files arrive."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler that FastAPI calls."""
        handler = super().get_route_handler()
        form = _DicomForm if self.path in _DICOM_PATHS else _LimitedForm

        async def handle(request: Request) -> Response:
            try:
                return await handler(form(request.scope, request.receive))
            except Exception as error:
                if is_disk_full(error):
                    raise refusal(507, "disk", DISK_FULL) from error
                raise

        return handle


class _LimitedForm(Request):
    """A request whose form may hold a few files only: a thousand small ones would all be held in memory.

    Nor may it have a field twice: the route would get one of the two, and the client would not know which.
    """

    _most = MAX_FILES

    async def _get_form(
        self, *, max_files: float = MAX_FILES, max_fields: float = MAX_FIELDS, max_part_size: int = 2**20
    ) -> FormData:
        """Read the form, as Starlette does; 422 if it has a field twice."""
        with span("upload"):
            form = await super()._get_form(
                max_files=self._most, max_fields=min(max_fields, MAX_FIELDS), max_part_size=max_part_size
            )
        twice = first_repeated(name for name, _ in form.multi_items() if name != _LIST)
        if twice is not None:
            await form.close()
            raise refusal(422, twice[:80], f"The form has {twice[:80]} twice. Send it once.")
        return form


class _DicomForm(_LimitedForm):
    """A form that may hold the files of a DICOM study; only a few with many files are received at once."""

    _most = MAX_DICOM_FILES

    async def _get_form(self, **limits: Any) -> FormData:
        """Read the form; 503 if it has many files and others are being received."""
        with _held(_LARGE_FORMS) as hold:
            self._hold = hold
            return await super()._get_form(**limits)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the body, and count the files in it as it arrives."""
        files, tail = 0, b""
        async for part in super().stream():
            text = tail + part
            files += text.count(_FILE)
            tail = text[-len(_FILE) + 1 :]
            if files > MAX_FILES:
                self._hold()
            yield part


@contextmanager
def _held(semaphore: threading.BoundedSemaphore) -> Iterator[Callable[[], None]]:
    """Yield a function that acquires a semaphore until the end of the block, once; 503 if others hold it."""
    acquired = False

    def hold() -> None:
        nonlocal acquired
        if not acquired:
            if not semaphore.acquire(blocking=False):
                raise busy()
            acquired = True

    try:
        yield hold
    finally:
        if acquired:
            semaphore.release()
