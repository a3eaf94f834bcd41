"""The lock by which only one server uses a workspace; the system releases it when the process is gone.

A process id alone is not enough: two servers that start at the same moment would both find none. The lock belongs to
the process, not to its subprocesses, so it is released at once after ``kill -9``, whatever outlives the server.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: only the run record shows another server
    fcntl = None  # type: ignore[assignment]

_GUARD = threading.Lock()
#: The files that this process has locked. They stay open until it ends: closing one would release its lock.
_HELD: dict[Path, int] = {}


def take(path: Path) -> bool:
    """Lock a file until this process ends; may be called again.

    Returns:
        Whether no other process has the lock. Also ``True`` where the file system has no locks.
    """
    if fcntl is None:
        return True
    path = path.resolve()
    with _GUARD:
        if path in _HELD:
            return True
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # not inherited: Python opens close-on-exec
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:  # a network share without locks
            os.close(descriptor)
            return True
        _HELD[path] = descriptor
        with contextlib.suppress(OSError):  # a full disk; the id is only informative
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
    return True


def holder(path: Path) -> str:
    """Return the id of the process that has the lock; ``unknown`` if it could not write it."""
    try:
        return path.read_text(encoding="ascii").strip() or "unknown"
    except (OSError, ValueError):
        return "unknown"
