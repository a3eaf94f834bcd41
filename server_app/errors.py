"""From errors to HTTP responses.

Every refusal has the same form, ``{"detail": {"field": ..., "message": ...}}``: 422 for input that cannot be used, 404
for an unknown name, 409 for a conflict with what is stored, 503 if the inference process died. MONAI Label's own
endpoints pass these exceptions on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException

from training.errors import InputError

#: An absolute path without its last part, which a message must not reveal.
_FOLDERS = re.compile(r"(?<![\w/.])(?:/[^\s/:'\"]+)+/(?=[^\s/])")


def refusal(status: int, field: str, message: str) -> HTTPException:
    """Build the response to a request that is refused."""
    return HTTPException(status, detail={"field": field, "message": without_folders(message)})


def without_folders(message: str) -> str:
    """Return a message in which the server's paths are reduced to their last parts."""
    return _FOLDERS.sub("", message)


def unknown(field: str, message: str) -> HTTPException:
    """Build the response to a request that names something that does not exist."""
    return refusal(404, field, message)


@contextmanager
def input_errors(status: int = 422) -> Iterator[None]:
    """Turn an :class:`InputError` inside the block into a refusal."""
    try:
        yield
    except InputError as error:
        raise refusal(status, error.field, error.message) from error
