"""Jobs on a Ray cluster, or on a Ray that is started on this machine for one command.

A job is a task of its own, so that a worker or a machine that dies costs only the jobs it was computing; these are
computed again elsewhere. Results that matter are files, which the workers write where every machine sees them; only
small values are sent back. Ray is an optional dependency and imported when it is used.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from training.errors import InputError
from training.hardware import cpu_supports_bfloat16
from training.hashes import file_sha256
from training.parallel import available_cores

Item = TypeVar("Item")

#: The address that starts a Ray on this machine.
LOCAL = "local"
#: How often a job is computed at most, if its worker dies each time.
ATTEMPTS = 3

#: How a worker dies that is ended because its machine has no memory left.
OUT_OF_MEMORY = "its machine ran out of memory"

_GIGABYTE = 10**9
#: Of the local Ray: only small values pass through it.
_OBJECT_STORE_BYTES = 200 * 2**20
#: Seconds between two looks at the cluster, and after which one that does not answer is given up. Ray itself would end
#: this process after 60 s without a word that a user understands.
_LOOK_SECONDS, _LOST_SECONDS = 2.0, 40.0
#: Seconds that a job waits if memory ran out, times the number of its attempt.
_MEMORY_SECONDS = 10.0
_ADDRESS = re.compile(r"(auto|local|[\w.-]+:\d+|\[[0-9a-fA-F:]+\]:\d+)")
#: What must be the same on all machines for the same results, beside our own code.
_COMPARED = ("numpy", "scipy", "tensorflow", "keras", "SimpleITK", "openvino")


class ClusterError(RuntimeError):
    """The cluster cannot go on; the message says what is finished and what to do."""


def is_address(text: str) -> bool:
    """Return whether this names a Ray: ``local``, ``auto`` or ``HOST:PORT``.

    Examples:
        >>> is_address("10.0.0.7:6379"), is_address("auto"), is_address("studies")
        (True, True, False)
    """
    return _ADDRESS.fullmatch(text) is not None


@contextmanager
def connect(
    address: str = LOCAL, *, workers: int = 0, tell: Callable[[str], None] = lambda message: None
) -> Iterator[RayCluster]:
    """Start a Ray on this machine or join a cluster, and leave it at the end.

    Args:
        address: ``local`` to start one, which is bound to 127.0.0.1 and ends with this process; ``HOST:PORT`` of the
            head of a cluster, or ``auto`` for the one this machine belongs to.
        workers: Jobs at once; 0 for one per CPU.
        tell: Called with a sentence when a worker died and on other events.

    Raises:
        InputError: If Ray is not installed or there is no cluster at this address; ``field`` is ``ray``.
    """
    if not is_address(address):
        raise InputError(
            f"--ray takes the address of a cluster (HOST:PORT or auto), or nothing to start a Ray on this machine; "
            f"{address!r} is neither.",
            field="ray",
        )
    if address == LOCAL:
        with _local(workers or available_cores()) as (ray, children):
            yield RayCluster(ray, tell, children=children)
    else:
        ray = _joined(address)
        try:
            yield RayCluster(ray, tell, workers=workers)
        finally:
            ray.shutdown()


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
                _Terms(self.cpus, _blas_threads(), Path.cwd(), marker, code_versions(), cpu_supports_bfloat16()),
            )

    def _completed(
        self, work: Callable[[Any], Item], jobs: Iterable[Any], terms: _Terms
    ) -> Iterator[tuple[Any, Future[Item]]]:
        watch = _Watch(self)
        task = self.ray.remote(_run).options(**watch.resources(), max_retries=0, scheduling_strategy="SPREAD")
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
                    if isinstance(answer, _Answer) and answer.note and answer.machine not in differing:
                        differing.add(answer.machine)
                        self.tell(f"{answer.machine}: {answer.note}")
                    yield job, _future(answer)
        finally:
            with suppress(Exception):  # a cluster that is lost has nothing to cancel
                for reference in running:
                    self.ray.cancel(reference, force=True)

    def _answer(self, reference: Any) -> _Answer | str:
        """Return what a task returned, or how its worker died."""
        errors = self.ray.exceptions
        try:
            answer: _Answer = self.ray.get(reference)
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


@dataclass(frozen=True)
class _Terms:
    """What a worker must keep to.

    Attributes:
        cpus: Threads of TensorFlow and ITK.
        blas_threads: Threads of BLAS as in this process, since the last digits of its sums depend on their number.
        folder: Working folder, to which relative paths refer.
        marker: A file that it must see.
        versions: From :func:`code_versions`.
        bfloat16: Whether the CPU has bfloat16 instructions.
    """

    cpus: int
    blas_threads: int
    folder: Path
    marker: Path | None
    versions: dict[str, str]
    bfloat16: bool


@dataclass(frozen=True)
class _Answer:
    """What a worker returns: a value or an error with its traceback; or why it is not fit to compute; or a note."""

    machine: str
    value: Any = None
    error: Exception | None = None
    trace: str = ""
    unfit: str = ""
    note: str = ""


def _run(work: Callable[[Any], Any], job: Any, terms: _Terms) -> _Answer:
    """Do a job in a worker."""
    machine = socket.gethostname()
    _limit_threads(terms.cpus, terms.blas_threads)
    unfit = _unfit(terms)
    if unfit:
        return _Answer(machine, unfit=unfit)
    with suppress(OSError):  # it matters only for relative paths, and these are then told to be missing
        os.chdir(terms.folder)
    try:
        return _Answer(machine, work(job), note=_note(terms))
    except Exception as error:  # noqa: BLE001 - it is raised where the result is used
        return _Answer(machine, error=error, trace=traceback.format_exc())


def _limit_threads(cpus: int, blas: int) -> None:
    """Set the threads of libraries in a worker; those that it has used already keep theirs."""
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ[name] = str(cpus)
    os.environ["OPENBLAS_NUM_THREADS"] = str(blas)
    import numpy as np  # noqa: F401 - what is loaded is limited below, what follows by the variable
    from threadpoolctl import threadpool_limits

    threadpool_limits(blas, user_api="blas")


def _blas_threads() -> int:
    import numpy as np  # noqa: F401 - brings its BLAS
    from threadpoolctl import threadpool_info

    found = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    return max(found, default=available_cores())


def _unfit(terms: _Terms) -> str:
    """Return why this machine would write other results, or write them where nobody finds them."""
    if terms.marker is not None and not terms.marker.is_file():
        return (
            f"this machine does not see {terms.marker.parent}. Cases, models and results must be on storage that every "
            "machine has mounted at the same path."
        )
    here = code_versions()
    other = [
        f"{name} {here.get(name, 'none')}, not {wanted}"
        for name, wanted in terms.versions.items()
        if here.get(name) != wanted
    ]
    return f"this machine has {'; '.join(other)}. Install the same on all machines." if other else ""


def _note(terms: _Terms) -> str:
    if cpu_supports_bfloat16() == terms.bfloat16:
        return ""
    return "its CPU computes in another precision than this machine, so results can differ in single voxels."


def _future(answer: _Answer | str) -> Future[Any]:
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
        if _answers(self._address):
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


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_LOOK_SECONDS).close()
    except OSError:
        return False
    return True


def _imported() -> ModuleType:
    """Import Ray, without its usage statistics."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "--ray needs Ray, which is not installed: pip install 'tumorloop[ray]', or run without --ray.", field="ray"
        ) from error
    return ray


@contextmanager
def _local(cpus: int) -> Iterator[tuple[ModuleType, tuple[Any, ...]]]:
    """Start a Ray on this machine that nobody else reaches, and end it."""
    import psutil

    # Ray binds to all interfaces unless told that there is no cluster; the switch is named after the systems without
    # one. Other users of this machine could still connect, and so run programs as this user: hence the token.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray = _imported()
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp" if sys.platform != "win32" else None)  # sockets: short paths
    before = set(psutil.Process().children(recursive=True))
    try:
        ray.init(
            address=LOCAL,
            num_cpus=cpus,
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
        )
        children = tuple(set(psutil.Process().children(recursive=True)) - before)
        try:
            yield ray, children
        finally:
            ray.shutdown()
            for child in children:
                with suppress(psutil.Error):
                    child.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _joined(address: str) -> ModuleType:
    """Join a cluster."""
    ray = _imported()
    way_out = "Start one with `ray start --head`, and join this machine with `ray start --address=...`."
    if address != "auto" and not _answers(address):
        raise InputError(f"No Ray answers at {address}. {way_out}", field="ray")
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"Cannot join the Ray at {address}: {reason} {way_out}", field="ray") from error
    return ray


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


@cache
def code_versions() -> dict[str, str]:
    """Return what decides a result: the versions of the libraries, and a hash of this package's code."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"Python": ".".join(map(str, sys.version_info[:2]))}
    for name in _COMPARED:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    package = Path(__file__).parent
    files = sorted(package.rglob("*.py"))
    hashes = "".join(f"{file.relative_to(package).as_posix()}:{file_sha256(file)}\n" for file in files)
    return found | {"TumorLoop's code": hashlib.sha256(hashes.encode()).hexdigest()[:12]}
