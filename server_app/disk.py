"""Recognizing a full disk.

Everything the server stores is written to a temporary file and renamed when it is complete, so a full disk leaves
nothing half-written. What remains is to recognize the error, even where other code has wrapped it.
"""

from __future__ import annotations

import errno
import re

from training.errors import with_causes

_ERRNO = frozenset({errno.ENOSPC, errno.EDQUOT})
#: numpy's messages, which come without an error number.
_NUMPY = re.compile(r"\d+ requested and \d+ written|Not enough free space to write \d+ bytes")
#: The message for clients.
DISK_FULL = "The server's disk is full, so nothing was stored. Ask its administrator to free space, then try again."


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether an error, or one that caused it, means that the disk or the user's quota is full."""
    return any(
        isinstance(each, OSError) and (each.errno in _ERRNO or _NUMPY.fullmatch(str(each)) is not None)
        for each in with_causes(error)
    )
