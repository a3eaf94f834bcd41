"""Routes whose forms are limited, are not ambiguous, and that report a full disk."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from server_app.disk import DISK_FULL, is_disk_full
from server_app.errors import refusal
from training.repeated import first_repeated

if TYPE_CHECKING:
    from starlette.datastructures import FormData

#: Maximum number of files and of other fields in one form: four modalities, a label, and what belongs to them.
MAX_FILES, MAX_FIELDS = 16, 32
#: The one field that may occur several times in a form.
_LIST = "files"


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
    """A request whose form may hold a few files only: a thousand small ones would all be held in memory.

    Nor may it have a field twice: the route would get one of the two, and the client would not know which.
    """

    async def _get_form(
        self, *, max_files: float = MAX_FILES, max_fields: float = MAX_FIELDS, max_part_size: int = 2**20
    ) -> FormData:
        """Read the form, as Starlette does; 422 if it has a field twice."""
        form = await super()._get_form(
            max_files=min(max_files, MAX_FILES), max_fields=min(max_fields, MAX_FIELDS), max_part_size=max_part_size
        )
        twice = first_repeated(name for name, _ in form.multi_items() if name != _LIST)
        if twice is not None:
            await form.close()
            raise refusal(422, twice[:80], f"The form has {twice[:80]} twice. Send it once.")
        return form
