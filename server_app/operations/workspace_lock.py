"""That one server at a time uses a workspace: a lock that the system takes back when the process is gone.

A process id alone does not do: two servers that start at the same moment would both find nobody. The lock belongs to
the process, not to those it starts, so it is free at once after ``kill -9``, whatever outlives the server.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: the run record alone tells of another server
    fcntl = None  # type: ignore[assignment]

_GUARD = threading.Lock()
#: The open files this process has locked. They stay open until it ends: closing one would give its lock away.
_HELD: dict[Path, int] = {}


def take(path: Path) -> bool:
    """Lock a file until this process ends; it may be asked for again.

    Args:
        path: Of the file; made if it is not there, and never removed. Its folder must exist.

    Returns:
        Whether no other process has it. Also ``True`` where the file system knows no locks.
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
        with contextlib.suppress(OSError):  # a full disk; who has the lock is only told
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
    return True


def holder(path: Path) -> str:
    """Return the id of the process that has the lock, as it wrote it down; ``unknown`` if it could not."""
    try:
        return path.read_text(encoding="ascii").strip() or "unknown"
    except (OSError, ValueError):
        return "unknown"
