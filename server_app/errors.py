"""From what went wrong to an HTTP answer: the one place where errors get their status.

Every refusal of the server has the same form, ``{"detail": {"field": ..., "message": ...}}``: 422 for input that
cannot be used, 404 for a name that nobody knows, 409 for a conflict with what is stored, 503 when the inference
process died. MONAI Label's own endpoints let these exceptions through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException

from training.errors import InputError

#: An absolute path up to its last part: what a message must not tell of the server's disk.
_FOLDERS = re.compile(r"(?<![\w/.])(?:/[^\s/:'\"]+)+/(?=[^\s/])")


def refusal(status: int, field: str, message: str) -> HTTPException:
    """Build the answer to a request that is refused."""
    return HTTPException(status, detail={"field": field, "message": without_folders(message)})


def without_folders(message: str) -> str:
    """Return a message in which only the last parts of the server's paths are left."""
    return _FOLDERS.sub("", message)


def unknown(field: str, message: str) -> HTTPException:
    """Build the answer to a request that names something which does not exist."""
    return refusal(404, field, message)


@contextmanager
def input_errors(status: int = 422) -> Iterator[None]:
    """Turn an :class:`InputError` inside the block into a refusal."""
    try:
        yield
    except InputError as error:
        raise refusal(status, error.field, error.message) from error
