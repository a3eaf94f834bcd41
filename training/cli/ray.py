"""The options of commands whose jobs can run on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.common import err, warn

if TYPE_CHECKING:
    from training.cluster.jobs import RayCluster
    from training.network.unet import UNetConfig
    from training.retraining.config import RetrainConfig

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

RayCpusOption = Annotated[
    int,
    typer.Option(
        "--ray-cpus",
        min=0,
        help="With --ray: CPUs of each training; 0 for as many as this machine has. The last digits of a training "
        "depend on them.",
    ),
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
    from training.cluster.connection import LOCAL, connect
    from training.finished import Finished

    with ExitStack() as connection:
        with err.status("Starting Ray ..." if address == LOCAL else f"Joining the Ray at {address} ..."):
            connected = connection.enter_context(connect(address, workers=workers, tell=warn))
        yield connected.needing(gigabytes=gigabytes, cpus=cpus, shared=shared)
        if shared is not None:
            Finished(shared).clean()


def segmenting_gigabytes() -> float:
    """Return the memory of a case in GB: 20 bytes per voxel and filter in OpenVINO; 35 or 70 in TensorFlow."""
    from training.hardware import cpu_supports_bfloat16
    from training.prediction.engine import OPENVINO, chosen_engine

    if chosen_engine() == OPENVINO:
        return 3.0
    return 4.0 if cpu_supports_bfloat16() else 7.0


def training_gigabytes(network: UNetConfig, config: RetrainConfig) -> float:
    """Return the memory of a training in GB."""
    from training.fitting.memory import need_of

    return need_of(network, config.patch, config.batch_size).bytes / 1e9
