"""Starting a Ray on this machine, or joining a cluster."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from training.cluster.jobs import RayCluster, answers
from training.errors import InputError
from training.parallel import available_cores

#: The address that starts a Ray on this machine.
LOCAL = "local"
#: Of the local Ray: only small values pass through it.
_OBJECT_STORE_BYTES = 200 * 2**20
#: How often a Ray is started at most until it is ready.
_STARTS = 3
_PREFIX = "tl-ray-"
_ADDRESS = re.compile(r"(auto|local|[\w.-]+:\d+|\[[0-9a-fA-F:]+\]:\d+)")


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
    folder = _own_folder()
    before = set(psutil.Process().children(recursive=True))

    def started() -> tuple[Any, ...]:
        return tuple(set(psutil.Process().children(recursive=True)) - before)

    try:
        _start(ray, cpus, Path(folder), started)
        yield ray, started()
    finally:
        _end(ray, started())
        shutil.rmtree(folder, ignore_errors=True)


def _start(ray: ModuleType, cpus: int, folder: Path, started: Callable[[], tuple[Any, ...]]) -> None:
    """Start Ray, once more if need be: on a very busy machine its parts give up waiting for each other."""
    for attempt in range(1, _STARTS + 1):
        try:
            ray.init(
                address=LOCAL,
                num_cpus=cpus,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                log_to_driver=False,
                logging_level="ERROR",
                _temp_dir=str(folder / str(attempt)),  # Ray opens this folder to everybody, but not the one above
            )
            return
        except Exception as error:
            _end(ray, started())
            if attempt == _STARTS:
                reason = str(error).strip().splitlines()[0]
                message = f"Ray does not start on this machine: {reason} Run without --ray."
                raise InputError(message, field="ray") from error


def _end(ray: ModuleType, children: tuple[Any, ...]) -> None:
    import psutil

    ray.shutdown()
    for child in children:
        with suppress(psutil.Error):
            child.kill()


def _own_folder() -> str:
    """Return a new folder that nobody else may enter, and remove those of commands that were killed."""
    import psutil

    above = Path("/tmp") if sys.platform != "win32" else Path(tempfile.gettempdir())  # paths of sockets must be short
    for old in above.glob(f"{_PREFIX}*"):
        pid = old.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(old, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=above)


def _joined(address: str) -> ModuleType:
    """Join a cluster."""
    ray = _imported()
    way_out = "Start one with `ray start --head`, and join this machine with `ray start --address=...`."
    if address != "auto" and not answers(address):
        raise InputError(f"No Ray answers at {address}. {way_out}", field="ray")
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"Cannot join the Ray at {address}: {reason} {way_out}", field="ray") from error
    return ray
