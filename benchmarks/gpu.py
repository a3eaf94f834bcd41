"""``python -m benchmarks.gpu``: does retraining work on this GPU, and how fast? From an empty folder to a new model.

    KERAS_BACKEND=jax python -m benchmarks.gpu --out build/gpu            # about ten minutes on one card
    KERAS_BACKEND=jax python -m benchmarks.gpu --devices 2                # each batch shared by two cards
    python -m benchmarks.gpu --tiny                                       # the same steps in small, also without a GPU

It generates cases, trains a network on them from scratch, retrains the bundled model on corrected cases as the server
does, and measures: the time of each step, training steps per second and TFLOP/s against what this device reaches in a
large matrix product, the share of the time in which the device waits for patches, and the peak of its memory.
Written as ``gpu.json``, anew after each step. Needs what ``training`` imports, and Keras on JAX or TensorFlow.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks import our_training
from benchmarks.device import DeviceFacts, flops_per_step, matmul_ceiling, peak_memory_bytes
from training import atomic
from training.errors import InputError
from training.fitting.config import FitConfig
from training.hardware import silence_backend_logs

if TYPE_CHECKING:
    from training.cases.case import Case
    from training.fitting.config import FitProgress
    from training.network.unet import UNetConfig
    from training.preparation.store import PreparedCase
    from training.retraining.config import RetrainConfig


@dataclass(frozen=True)
class Size:
    """How much is done.

    Attributes:
        cases: Number of phantoms; the last one is held out.
        patch: Side of a patch in voxels.
        batch_size: Patches per batch and device.
        steps: Batches per epoch of the training from scratch.
        matrix: Side of the matrices whose product gives the ceiling.
        fixed: Steps on one batch that stays in memory.
    """

    cases: int
    patch: int
    batch_size: int
    steps: int
    matrix: int
    fixed: int


FULL = Size(cases=8, patch=128, batch_size=4, steps=100, matrix=16384, fixed=30)
TINY = Size(cases=2, patch=32, batch_size=1, steps=3, matrix=256, fixed=3)


@dataclass
class Report:
    """What was found; seconds, unless the name says otherwise."""

    backend: str
    device: str
    devices: int
    precision: str
    patch: int
    patches_per_batch: int
    ceiling_tflops: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    step_seconds: float = 0.0
    step_seconds_without_data: float = 0.0
    tflops: float = 0.0
    share_of_ceiling: float = 0.0
    share_of_waiting: float = 0.0
    peak_memory_mib: dict[str, float] = field(default_factory=dict)
    loss: list[float] = field(default_factory=list)
    retrained: dict[str, Any] = field(default_factory=dict)


def prove(work: Path, size: Size, devices: int, workers: int, on_step: Callable[[Report], None]) -> Report:
    """Go through all steps and return what was measured.

    Args:
        work: Folder for cases and checkpoints.
        size: How much to do.
        devices: Devices that share each batch.
        workers: Threads that prepare batches.
        on_step: Called after each step with what is known so far: a card is often lent for minutes.

    Raises:
        InputError: If the devices cannot be used, or memory does not suffice.
    """
    from training.network.unet import UNetConfig

    facts = DeviceFacts.of_this_machine()
    batch = size.batch_size * devices
    config = _config(size, batch, workers)
    report = Report(facts.backend, facts.name, devices, facts.precision, size.patch, batch)
    report.ceiling_tflops = round(matmul_ceiling(size.matrix, facts.precision) * devices, 2)
    on_step(report)
    with _timed(report, "cases"):
        cases, prepared = _cases(work, size)
    on_step(report)
    with _timed(report, "fit"):
        steps = _fit(report, config, UNetConfig(), prepared, work, devices)
    report.peak_memory_mib["fit"] = _mib(peak_memory_bytes())
    report.step_seconds = statistics.median(steps)
    report.step_seconds_without_data = _fixed_step(config, UNetConfig(), size.fixed, devices)
    flops = flops_per_step(UNetConfig(), size.patch, batch)
    report.tflops = round(flops / report.step_seconds / 1e12, 3)
    report.share_of_ceiling = round(report.tflops / report.ceiling_tflops, 3)
    report.share_of_waiting = round(max(0.0, 1 - report.step_seconds_without_data / report.step_seconds), 3)
    on_step(report)
    with _timed(report, "retrain"):
        report.retrained = _retrain(cases, work, size, workers)
    report.peak_memory_mib["retrain"] = _mib(peak_memory_bytes())
    on_step(report)
    return report


def _config(size: Size, batch: int, workers: int) -> FitConfig:
    return FitConfig(
        max_epochs=2, steps_per_epoch=size.steps, batch_size=batch, patch=(size.patch,) * 3, workers=workers
    )


def _cases(work: Path, size: Size) -> tuple[list[Case], list[PreparedCase]]:
    from training.cases.find import find_cases
    from training.network.unet import UNetConfig
    from training.phantoms.files import write_cases
    from training.preparation.prepare_cases import prepare_cases
    from training.preparation.store import PreparedStore

    write_cases(work / "cases", size.cases)
    cases = find_cases(work / "cases")[0]
    prepared, failed = prepare_cases(cases, PreparedStore(work / "prepared"), stride=UNetConfig().stride)
    if failed:
        raise InputError("; ".join(failed.values()))
    return cases, prepared


def _fit(
    report: Report, config: FitConfig, network: UNetConfig, cases: list[PreparedCase], work: Path, devices: int
) -> list[float]:
    """Train from scratch; return the seconds of each step but the first ones, in which the network is compiled."""
    from training.fitting.fit import fit

    ends: dict[tuple[int, int], float] = {}

    def note(at: FitProgress) -> None:
        if at.step > 0:
            ends.setdefault((at.epoch, at.step), time.perf_counter())

    result = fit(config, network, cases[:-1], cases[-1:], work_dir=work / "fit", devices=devices, on_progress=note)
    report.loss = [record["loss"] for record in result.history]
    return [end - ends[epoch, step - 1] for (epoch, step), end in ends.items() if step > 2 or (epoch and step > 1)]


def _fixed_step(config: FitConfig, network: UNetConfig, count: int, devices: int) -> float:
    """Return the seconds of a step on one batch that need not be read or augmented."""
    import numpy as np

    from training.fitting.compile import compile_model
    from training.fitting.devices import share_batches

    image, label = our_training.batch(config.patch[0], config.batch_size)
    with share_batches(devices, config.batch_size):
        model = compile_model(config, network, None)
        seconds = []
        for _ in range(count + 2):
            begun = time.perf_counter()
            float(np.asarray(model.train_on_batch(image, label)))
            seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[2:])


def _retrain(cases: list[Case], work: Path, size: Size, workers: int) -> dict[str, Any]:
    from training.models import BUNDLED_MODELS
    from training.models.store import ModelStore
    from training.retraining.corrections import Correction
    from training.retraining.retrain import retrain

    splits = ["train"] * (len(cases) - 1) + ["validation"]
    corrections = [Correction(case, case.label, split) for case, split in zip(cases, splits, strict=True) if case.label]
    result = retrain(
        ModelStore(work / "models", BUNDLED_MODELS),
        corrections,
        config=_retraining(size, workers),
        work_dir=work / "retrain",
    )
    history = result.version.card.training["history"]
    return {"version": result.version.id, "promoted": result.promoted, "verdict": result.verdict, "history": history}


def _retraining(size: Size, workers: int) -> RetrainConfig:
    from training.retraining.config import RetrainConfig

    if size is TINY:
        small = {
            "max_epochs": 1,
            "steps_per_epoch": 2,
            "batch_size": 1,
            "derived": 0,
            "replay": 0,
            "judge_phantoms": 1,
            "compare_unseen": 0,
        }
        return RetrainConfig(patch=size.patch, workers=workers, **small)
    return RetrainConfig(workers=workers)


class _timed:
    """Add the seconds of the block to ``report.seconds``."""

    def __init__(self, report: Report, name: str) -> None:
        self._report, self._name = report, name

    def __enter__(self) -> None:
        self._begun = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._report.seconds[self._name] = round(time.perf_counter() - self._begun, 2)


def _mib(count: int) -> float:
    return round(count / 2**20, 1)


def main(
    out: Annotated[Path, typer.Option(help="New folder for the report and all files.")] = Path("build/gpu"),
    devices: Annotated[int, typer.Option(min=1, help="Devices that share each batch; more than one needs JAX.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Threads that prepare batches.")] = 8,
    tiny: Annotated[bool, typer.Option(help="In small: shows that it works, measures nothing.")] = False,
) -> None:
    """Prove that training and retraining work on this machine's GPU, and measure them."""
    if out.exists() and any(out.iterdir()):
        typer.secho(f"{out} is not empty. Name a new folder.", err=True)
        raise typer.Exit(2)
    try:
        report = prove(out, TINY if tiny else FULL, devices, workers, lambda found: _write(found, out))
    except InputError as error:
        typer.secho(f"Error: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo(json.dumps(asdict(report), indent=2))


def _write(report: Report, out: Path) -> None:
    atomic.write_json(out / "gpu.json", asdict(report))
    typer.echo(f"done so far: {', '.join(report.seconds) or 'the ceiling'}", err=True)


if __name__ == "__main__":
    silence_backend_logs()
    typer.run(main)
