"""The options of commands whose jobs can run on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.common import err, warn

if TYPE_CHECKING:
    from training.cluster import RayCluster

RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        help="Compute on a Ray cluster: HOST:PORT of its head, or auto for the one of this machine; without an address "
        "a Ray is started on this machine. Finished cases are kept, and the same command continues. See "
        "docs/cluster.md.",
        show_default=False,
    ),
]
RayWorkersOption = Annotated[
    int, typer.Option("--ray-workers", min=0, help="With --ray: jobs at once; 0 for one per CPU.")
]


@contextmanager
def cluster(
    address: str | None, workers: int = 0, *, gigabytes: float, cpus: int = 1, shared: Path | None = None
) -> Iterator[RayCluster | None]:
    """Connect to the Ray of a command, and tell what happens there; ``None`` without ``--ray``.

    Args:
        address: From ``--ray``.
        workers: Jobs at once; 0 for one per CPU.
        gigabytes: Memory of a job.
        cpus: CPUs of a job.
        shared: The folder of the results, which every machine must see.

    Raises:
        InputError: If Ray is not installed or does not answer; ``field`` is ``ray``.
    """
    if address is None:
        yield None
        return
    from training.cluster import LOCAL, connect
    from training.finished import Finished

    with ExitStack() as connection:
        with err.status("Starting Ray ..." if address == LOCAL else f"Joining the Ray at {address} ..."):
            connected = connection.enter_context(connect(address, workers=workers, tell=warn))
        yield connected.needing(gigabytes=gigabytes, cpus=cpus, shared=shared)
        if shared is not None:
            Finished(shared).clean()
