"""A lock that keeps anything from being stored for an uploaded case while or after it is removed.

What took long to compute (a checked label, the model's segmentation) would otherwise create the case's folder
again, and end up with the images that are later uploaded under the same name.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException

from server_app.errors import unknown
from server_app.workspace import Workspace
from training.cases.case import Case

#: Held while a case is removed, and while something is stored for one. Acquired before the lock of any store.
REMOVAL_LOCK = threading.RLock()

#: Distinguishes an upload from a later one under the same name: inode and time (ns) of its record.
Stamp = tuple[int, int]


def stamp_of(workspace: Workspace, case: Case) -> Stamp | None:
    """Return the stamp of a case; ``None`` for one that cannot be removed.

    Raises:
        HTTPException: 404 if it was removed.
    """
    if case.folder is None or case.folder.parent != workspace.uploads:
        return None
    try:
        found = (case.folder / "case.json").stat()
    except FileNotFoundError as error:
        raise _gone(case) from error
    return found.st_ino, found.st_mtime_ns


@contextmanager
def while_present(workspace: Workspace, case: Case, stamp: Stamp | None = None) -> Iterator[None]:
    """Keep a case from being removed inside the block.

    Args:
        workspace: Holds it.
        case: Its folders are written to inside the block.
        stamp: From when the work on it began; ``None`` accepts the case as it is now.

    Raises:
        HTTPException: 404 if it was removed, even if another one was uploaded under its name.
    """
    with REMOVAL_LOCK:
        found = stamp_of(workspace, case)
        if stamp is not None and found != stamp:
            raise _gone(case)
        yield


def _gone(case: Case) -> HTTPException:
    return unknown("image", f"Case {case.id} was removed in the meantime; nothing was stored for it.")
