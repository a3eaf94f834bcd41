"""The jobs of a command on a Ray: which run, which run again, and what has become of the cluster."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from training.cluster.worker import Answer, Terms, blas_threads, code_versions, run_job
from training.errors import InputError
from training.hardware import cpu_supports_bfloat16

Item = TypeVar("Item")

#: How often a job is computed at most, if its worker dies each time.
ATTEMPTS = 3

#: How a worker dies that is ended because its machine has no memory left.
OUT_OF_MEMORY = "its machine ran out of memory"

_GIGABYTE = 10**9
#: Seconds between two looks at the cluster, and after which one that does not answer is given up. Ray itself would end
#: this process after 60 s without a word that a user understands.
_LOOK_SECONDS, _LOST_SECONDS = 2.0, 40.0
#: Seconds that a job waits if memory ran out, times the number of its attempt.
_MEMORY_SECONDS = 10.0


class ClusterError(RuntimeError):
    """The cluster cannot go on; the message says what is finished and what to do."""


@dataclass(frozen=True)
class RayCluster:
    """A Ray that jobs are given to; see :class:`training.parallel.Cluster`.

    Attributes:
        ray: The module.
        tell: Called with a sentence on events.
        workers: Jobs at once; 0 for as many as there are CPUs, however many join.
        cpus: CPUs of a job, and threads of its computations.
        memory_bytes: Memory that is kept free for a job; no machine is given more jobs than fit.
        shared: A folder that every machine must see; ``None`` for none.
        children: Processes of a local Ray.
    """

    ray: ModuleType
    tell: Callable[[str], None]
    workers: int = 0
    cpus: int = 1
    memory_bytes: int = 0
    shared: Path | None = None
    children: tuple[Any, ...] = ()

    def needing(self, *, gigabytes: float, cpus: int = 1, shared: Path | None = None) -> RayCluster:
        """Return the same cluster for jobs that need so much memory and so many CPUs, and write into ``shared``."""
        shared = None if shared is None else Path(shared).absolute()
        return replace(self, cpus=cpus, memory_bytes=int(gigabytes * _GIGABYTE), shared=shared)

    def completed(self, work: Callable[[Any], Item], jobs: Iterable[Any]) -> Iterator[tuple[Any, Future[Item]]]:
        """Yield each job with its finished future, in order of completion.

        A job whose worker dies is computed again, at most :data:`ATTEMPTS` times; then its future holds an
        :class:`InputError` that says so.

        Raises:
            ClusterError: If the head of the cluster does not answer any more, or a machine holds another TumorLoop.
        """
        with _marked(self.shared) as marker:
            yield from self._completed(
                work,
                jobs,
                Terms(self.cpus, blas_threads(), Path.cwd(), marker, code_versions(), cpu_supports_bfloat16()),
            )

    def _completed(
        self, work: Callable[[Any], Item], jobs: Iterable[Any], terms: Terms
    ) -> Iterator[tuple[Any, Future[Item]]]:
        watch = _Watch(self)
        task = self.ray.remote(run_job).options(**watch.resources(), max_retries=0, scheduling_strategy="SPREAD")
        waiting, again, differing = iter(jobs), _Again(self.tell), set[str]()
        running: dict[Any, tuple[Any, int]] = {}
        try:
            while True:
                for job, attempt in again.due():
                    running[task.remote(work, job, terms)] = job, attempt
                for job in islice(waiting, max(0, watch.ahead - len(running) - len(again.jobs))):
                    running[task.remote(work, job, terms)] = job, 1
                if not running and not again.jobs:
                    return
                ready = _wait(self.ray, list(running))
                watch.look()
                for reference in ready:
                    job, attempt = running.pop(reference)
                    answer = self._answer(reference)
                    if isinstance(answer, str) and attempt < ATTEMPTS:
                        again.add(job, attempt + 1, answer)
                        continue
                    if isinstance(answer, Answer) and answer.note and answer.machine not in differing:
                        differing.add(answer.machine)
                        self.tell(f"{answer.machine}: {answer.note}")
                    yield job, _future(answer)
        finally:
            with suppress(Exception):  # a cluster that is lost has nothing to cancel
                for reference in running:
                    self.ray.cancel(reference, force=True)

    def _answer(self, reference: Any) -> Answer | str:
        """Return what a task returned, or how its worker died."""
        errors = self.ray.exceptions
        try:
            answer: Answer = self.ray.get(reference)
        except errors.RayTaskError as error:  # the worker could not even begin
            raise ClusterError(
                "A machine of the cluster cannot import TumorLoop, or cannot load a job. Install the same version on "
                f"each machine (pip install tumorloop[ray]). Ray says: {str(error).strip().splitlines()[-1]}"
            ) from error
        except errors.LocalRayletDiedError as error:
            raise _lost("The Ray of this machine died.") from error
        except errors.OutOfMemoryError:
            return OUT_OF_MEMORY
        except errors.RayError as error:
            return type(error).__name__
        if answer.unfit:
            raise ClusterError(f"{answer.machine}: {answer.unfit}")
        return answer


def _future(answer: Answer | str) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(answer, str):
        future.set_exception(
            InputError(
                f"Its worker died {ATTEMPTS} times ({answer}). Perhaps memory is short: give fewer workers.",
                field="workers",
            )
        )
    elif answer.error is not None:
        answer.error.__cause__ = RuntimeError(f"on {answer.machine}:\n{answer.trace}")
        future.set_exception(answer.error)
    else:
        future.set_result(answer.value)
    return future


def _name(job: Any) -> str:
    return str(getattr(job, "name", None) or "its job")


class _Again:
    """The jobs whose workers died; where memory ran out, they wait until others have finished theirs."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.jobs: list[tuple[float, Any, int]] = []

    def add(self, job: Any, attempt: int, died: str) -> None:
        """Note that a job is to be computed again."""
        self._tell(f"A worker died ({died}); {_name(job)} is computed again.")
        pause = _MEMORY_SECONDS * attempt if died == OUT_OF_MEMORY else 0.0
        self.jobs.append((time.monotonic() + pause, job, attempt))

    def due(self) -> list[tuple[Any, int]]:
        """Remove and return the jobs that may be computed now, each with the number of its attempt."""
        now = time.monotonic()
        ready = [(job, attempt) for due, job, attempt in self.jobs if due <= now]
        self.jobs = [entry for entry in self.jobs if entry[0] > now]
        return ready


def _wait(ray: ModuleType, references: list[Any]) -> list[Any]:
    """Return a finished task, or none after a while."""
    if not references:
        time.sleep(_LOOK_SECONDS)
        return []
    ready: list[Any] = ray.wait(references, timeout=_LOOK_SECONDS)[0]
    return ready


class _Watch:
    """Watches the cluster while jobs run: whether it answers, and how many jobs it takes."""

    def __init__(self, cluster: RayCluster) -> None:
        self._cluster = cluster
        self._address = cluster.ray.get_runtime_context().gcs_address
        self._answered = time.monotonic()
        self.ahead = self._ahead()

    def resources(self) -> dict[str, float]:
        """Return what a job needs, as far as a machine can give it.

        Raises:
            ClusterError: If no machine has a CPU to give.
        """
        nodes = [node["Resources"] for node in self._cluster.ray.nodes() if node["Alive"]]
        cpus = max((node.get("CPU", 0) for node in nodes), default=0)
        memory = max((node.get("memory", 0) for node in nodes if node.get("CPU", 0)), default=0)
        if cpus < 1:
            raise ClusterError("No machine of the cluster has a CPU to give. Start workers: ray start --address=...")
        if memory < self._cluster.memory_bytes:
            wanted = f"{self._cluster.memory_bytes / _GIGABYTE:.1f} GB"
            self._cluster.tell(
                f"A job may need {wanted}, and the largest machine has {memory / _GIGABYTE:.1f} GB free."
            )
        return {"num_cpus": min(cpus, self._cluster.cpus), "memory": min(memory, self._cluster.memory_bytes)}

    def look(self) -> None:
        """Look at the head of the cluster.

        Raises:
            ClusterError: If it has not answered for a while.
        """
        now = time.monotonic()
        if answers(self._address):
            if now - self._answered > _LOOK_SECONDS:
                self.ahead = self._ahead()
            self._answered = now
        elif now - self._answered > _LOST_SECONDS:
            for child in self._cluster.children:  # what is left of a local Ray
                with suppress(Exception):
                    child.kill()
            raise _lost(f"The head of the cluster ({self._address}) does not answer any more.")

    def _ahead(self) -> int:
        """Return how many jobs are submitted: some wait, so that no CPU does."""
        slots = int(self._cluster.ray.cluster_resources().get("CPU", 1)) // self._cluster.cpus
        return self._cluster.workers or 2 * max(1, slots)


def _lost(why: str) -> ClusterError:
    return ClusterError(f"{why} What is finished is kept; the same command continues from there.")


def answers(address: str) -> bool:
    """Return whether something listens at ``HOST:PORT``."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_LOOK_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def _marked(folder: Path | None) -> Iterator[Path | None]:
    """Put a file into a folder, by which a worker sees that it has the same folder."""
    if folder is None:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / f".ray-{secrets.token_hex(8)}"
    marker.touch()
    try:
        yield marker
    finally:
        marker.unlink(missing_ok=True)
