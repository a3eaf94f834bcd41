"""Starting Python processes with few imports, and ending them together.

A spawned child imports its parent's ``__main__`` again. Ours is MONAI Label, which imports torch: seconds, hundreds
of megabytes, and a second tensor library in the process that computes with TensorFlow. So ``__main__`` is hidden
while a child is started. A child must also not outlive its parent, however that ended.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

_LOCK = threading.Lock()


@contextmanager
def hidden_main() -> Iterator[None]:
    """Hide ``__main__`` from children that are started inside the block."""
    with _LOCK:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def close_on_signal(close: Callable[[], None]) -> None:
    """Call ``close`` when the process receives a signal to end, before the web server handles it.

    The web server raises the signal again when it is done, which ends the process without Python's usual cleanup. Must
    be called from the main thread, after the web server has set its own handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        previous = signal.getsignal(number)

        def handle(received: int, frame: FrameType | None, previous: Any = previous) -> None:
            closing = threading.Thread(target=close, name="tumorloop-close", daemon=True)
            closing.start()
            closing.join(5)  # in a thread of its own: the main thread may hold a lock that close() takes
            if callable(previous):
                previous(received, frame)

        signal.signal(number, handle)


def is_alive(record: Mapping[str, Any]) -> bool:
    """Return whether a process is running that a record names by ``pid`` and ``process_started`` (Unix time)."""
    try:
        process = psutil.Process(int(record["pid"]))
        same = abs(process.create_time() - float(record["process_started"])) < 1.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False


def end_with_parent() -> None:
    """End this process, and so its own children, when the process that started it is gone."""
    parent = psutil.Process().parent()
    _exit_after(lambda: parent and parent.wait())


def init_child(niceness: int = 0, oom_score: int = 0) -> None:
    """Prepare a child process: it ignores Ctrl-C, which the parent handles, and ends when the parent does.

    Args:
        niceness: Lowers its priority: processes that compute must not slow down the one that answers requests.
        oom_score: 0 to 1000; if memory runs out, the system kills the process with the highest one first. Linux only.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(oom_score))
    if hasattr(os, "nice"):
        os.nice(niceness)
    parent = multiprocessing.parent_process()
    if parent is not None:
        _exit_after(lambda: wait([parent.sentinel]))


def _exit_after(wait_for_parent: Callable[[], object]) -> None:
    def follow() -> None:
        wait_for_parent()
        os._exit(1)

    threading.Thread(target=follow, name="follow-parent", daemon=True).start()
