"""The queue of trainings: one runs, the others wait for it, and one that waits can be withdrawn.

MONAI Label keeps its trainings in an executor with one thread and knows no way to take one back. This is that
executor; it is put in MONAI Label's place before the first training.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any

#: The most trainings that may wait.
MOST = 8


class TrainingQueue(ThreadPoolExecutor):
    """Runs MONAI Label's tasks one after the other. Safe for threads."""

    def __init__(self) -> None:
        super().__init__(max_workers=1, thread_name_prefix="tumorloop-trainings")
        self._known = threading.Lock()
        self._tasks: dict[str, tuple[dict[str, Any], Future[Any]]] = {}

    def install(self) -> None:
        """Let MONAI Label use this queue for its trainings."""
        from monailabel.utils.async_tasks.utils import background_executors

        background_executors["train"] = self

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Take a task over from MONAI Label, which hands it on as the first argument."""
        future = super().submit(fn, *args, **kwargs)
        with self._known:
            self._tasks = {task_id: pair for task_id, pair in self._tasks.items() if not pair[1].done()}
            self._tasks[str(args[0]["id"])] = (args[0], future)
        return future

    def waiting(self) -> list[dict[str, Any]]:
        """Return the tasks that wait, the next one first."""
        with self._known:
            return [task for task, future in self._tasks.values() if not future.running() and not future.done()]

    def find(self, task_id: str) -> dict[str, Any] | None:
        """Return a task that waits or runs."""
        with self._known:
            task, future = self._tasks.get(task_id, (None, None))
        return task if future is not None and not future.done() else None

    def withdraw(self, task_id: str) -> dict[str, Any] | None:
        """Take a waiting task out of the queue and return it; ``None`` if it does not wait any more."""
        with self._known:
            task, future = self._tasks.get(task_id, (None, None))
            if task is None or future is None or not future.cancel():
                return None
            del self._tasks[task_id]
        task.update(status="STOPPED", end_ts=datetime.today().strftime("%Y-%m-%d %H:%M:%S"))
        return task

    def close(self) -> None:
        """Withdraw all that wait; what runs goes on."""
        for task in self.waiting():
            self.withdraw(str(task["id"]))
        self.shutdown(wait=False, cancel_futures=True)
