"""Routes whose files are limited in number, and that report a full disk."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from server_app.disk import DISK_FULL, is_disk_full
from server_app.errors import refusal

if TYPE_CHECKING:
    from starlette._utils import AwaitableOrContextManager
    from starlette.datastructures import FormData

#: Maximum number of files and of other fields in one form: four modalities, a label, and what belongs to them.
MAX_FILES, MAX_FIELDS = 16, 32


class UploadRoute(APIRoute):
    """A route that answers 507 when the disk is full, even while the request's files arrive."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler that FastAPI calls."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(_LimitedForm(request.scope, request.receive))
            except Exception as error:
                if is_disk_full(error):
                    raise refusal(507, "disk", DISK_FULL) from error
                raise

        return handle


class _LimitedForm(Request):
    """A request whose form may hold a few files only: a thousand small ones would all be held in memory."""

    def form(
        self, *, max_files: float = MAX_FILES, max_fields: float = MAX_FIELDS, max_part_size: int = 2**20
    ) -> AwaitableOrContextManager[FormData]:
        """Read the form, as Starlette does."""
        return super().form(max_files=max_files, max_fields=max_fields, max_part_size=max_part_size)
