"""What a worker does: the checks before a job, and the job."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from training.hardware import cpu_supports_bfloat16
from training.hashes import file_sha256
from training.parallel import THREADS_VARIABLE, available_cores

#: What must be the same on all machines for the same results, beside our own code.
_COMPARED = ("numpy", "scipy", "tensorflow", "tensorflow-cpu", "keras", "SimpleITK", "openvino")


@dataclass(frozen=True)
class Terms:
    """What a worker must keep to.

    Attributes:
        cpus: Threads of OpenVINO, TensorFlow and ITK.
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
class Answer:
    """What a worker returns: a value or an error with its traceback; or why it is not fit to compute; or a note."""

    machine: str
    value: Any = None
    error: Exception | None = None
    trace: str = ""
    unfit: str = ""
    note: str = ""


def run_job(work: Callable[[Any], Any], job: Any, terms: Terms) -> Answer:
    """Do a job in a worker."""
    machine = socket.gethostname()
    _limit_threads(terms.cpus, terms.blas_threads)
    reason = unfit(terms)
    if reason:
        return Answer(machine, unfit=reason)
    with suppress(OSError):  # it matters only for relative paths, and these are then told to be missing
        os.chdir(terms.folder)
    try:
        return Answer(machine, work(job), note=_note(terms))
    except Exception as error:  # noqa: BLE001 - it is raised where the result is used
        return Answer(machine, error=error, trace=traceback.format_exc())


def _limit_threads(cpus: int, blas: int) -> None:
    """Set the threads of libraries in a worker; those that it has used already keep theirs."""
    for name in (
        THREADS_VARIABLE,
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    ):
        os.environ[name] = str(cpus)
    os.environ["OPENBLAS_NUM_THREADS"] = str(blas)
    import numpy as np  # noqa: F401 - what is loaded is limited below, what follows by the variable
    from threadpoolctl import threadpool_limits

    threadpool_limits(blas, user_api="blas")


def blas_threads() -> int:
    """Return the number of threads that BLAS uses in this process."""
    import numpy as np  # noqa: F401 - brings its BLAS
    from threadpoolctl import threadpool_info

    found = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    return max(found, default=available_cores())


def unfit(terms: Terms) -> str:
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


def _note(terms: Terms) -> str:
    if cpu_supports_bfloat16() == terms.bfloat16:
        return ""
    return "its CPU computes in another precision than this machine, so results can differ in single voxels."


@cache
def code_versions() -> dict[str, str]:
    """Return what decides a result: the versions of the libraries, and a hash of this package's code."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"Python": ".".join(map(str, sys.version_info[:2]))}
    for name in _COMPARED:
        with suppress(PackageNotFoundError):
            found[name.removesuffix("-cpu")] = version(name)  # the same library without its GPU part
    package = Path(__file__).parents[1]
    files = sorted(package.rglob("*.py"))
    hashes = "".join(f"{file.relative_to(package).as_posix()}:{file_sha256(file)}\n" for file in files)
    return found | {"TumorLoop's code": hashlib.sha256(hashes.encode()).hexdigest()[:12]}
