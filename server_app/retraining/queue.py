"""The queue of training jobs: one runs, the others wait, and one that waits can be withdrawn.

MONAI Label executes training jobs with one thread and has no way to withdraw one. This executor replaces that
before the first training. Also, MONAI Label does not handle errors in its function for a task: without :func:`_guarded`
such a job would never seem to end.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any

import psutil

logger = logging.getLogger(__name__)

#: Maximum number of training jobs that may wait.
MAX_WAITING = 8
#: How the message of a training run begins that failed outside of its own process.
NOT_RUN = "The server could not run the training's process"


class TrainingQueue(ThreadPoolExecutor):
    """Runs MONAI Label's tasks one after the other. Thread-safe."""

    def __init__(self) -> None:
        super().__init__(max_workers=1, thread_name_prefix="tumorloop-trainings")
        self._known = threading.Lock()
        self._tasks: dict[str, tuple[dict[str, Any], Future[Any]]] = {}

    def install(self) -> None:
        """Have MONAI Label use this queue for its training runs."""
        from monailabel.utils.async_tasks.utils import background_executors

        background_executors["train"] = self

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a task of MONAI Label's, which is the first argument."""
        future = super().submit(_guarded, fn, *args, **kwargs)
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
        """Remove a waiting task from the queue and return it; ``None`` if it no longer waits."""
        with self._known:
            task, future = self._tasks.get(task_id, (None, None))
            if task is None or future is None or not future.cancel():
                return None
            del self._tasks[task_id]
        task.update(status="STOPPED", end_ts=_now())
        return task

    def close(self) -> None:
        """Withdraw all that wait; the one that runs continues."""
        for task in self.waiting():
            self.withdraw(str(task["id"]))
        self.shutdown(wait=False, cancel_futures=True)


def _guarded(fn: Callable[..., Any], task: dict[str, Any], /, *args: Any, **kwargs: Any) -> Any:
    """Run a task; if that raises, mark it as failed and end its process."""
    try:
        return fn(task, *args, **kwargs)
    except Exception as error:
        logger.exception("The training %s was not followed to its end.", task.get("id"))
        if task.get("status") in ("SUBMITTED", "RUNNING"):
            message = f"{NOT_RUN} ({type(error).__name__})."
            task.update(status="ERROR", end_ts=_now(), details=[*task.get("details", ()), message])
        _forget_process(str(task["id"]))
        raise


def _forget_process(task_id: str) -> None:
    """End a task's process, whose output is no longer read, and remove it from MONAI Label's list."""
    from monailabel.utils.async_tasks.utils import background_processes

    process = background_processes.get("train", {}).pop(task_id, None)
    if process is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _now() -> str:
    return datetime.today().strftime("%Y-%m-%d %H:%M:%S")
