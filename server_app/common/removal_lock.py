"""That nothing is stored for an uploaded case while it is taken away, or after that.

What took long to make (a checked label, the model's answer) would otherwise make the case's folder anew, and meet the
images that come later under the same name.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException

from server_app.errors import unknown
from server_app.workspace import Workspace
from training.cases.case import Case

#: Held while a case is taken away, and while something is stored for one. Taken before the lock of any store.
REMOVAL_LOCK = threading.RLock()

#: What tells an upload from a later one under its name: the inode and time (ns) of its record.
Stamp = tuple[int, int]


def stamp_of(workspace: Workspace, case: Case) -> Stamp | None:
    """Return what tells a case from one that comes later under its name; ``None`` for one that cannot be taken away.

    Raises:
        HTTPException: 404 if it was taken away.
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
    """Let nobody take a case away inside the block.

    Args:
        workspace: Where it lies.
        case: Whose folders are written to inside the block.
        stamp: From when the work on it began; ``None`` takes the case that is there now.

    Raises:
        HTTPException: 404 if it is not there any more, also if another came under its name.
    """
    with REMOVAL_LOCK:
        found = stamp_of(workspace, case)
        if stamp is not None and found != stamp:
            raise _gone(case)
        yield


def _gone(case: Case) -> HTTPException:
    return unknown("image", f"Case {case.id} was removed meanwhile; nothing was stored for it.")
