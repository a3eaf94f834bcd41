"""Starting Python processes that stay light.

A spawned child imports its parent's ``__main__`` again. Ours is MONAI Label, which imports torch: seconds, hundreds
of megabytes, and a second tensor library in the process that computes with TensorFlow. So ``__main__`` is hidden
while a child is started. A child must also not outlive its parent, whatever ended it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait

_LOCK = threading.Lock()


@contextmanager
def light_main() -> Iterator[None]:
    """Hide ``__main__`` from children that are started inside the block."""
    with _LOCK:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def become_child() -> None:
    """Prepare a child process: Ctrl-C is the parent's business, and the child ends when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, name="follow-parent", daemon=True).start()
