"""Training on 10 to 1,000 cases: neither the memory nor the time of a step may grow."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks.alone import Alone
from benchmarks.context import Context
from benchmarks.outcome import Curve, Figure, Outcome, rounded
from benchmarks.peers import caching, without_tensorflow

#: Sides of a case and of a patch: small, so that 1,000 cases take half a gigabyte of disk.
SIDE, PATCH = 40, 32
#: How much more at the largest number of cases still counts as flat.
FLAT = 1.1
#: Steps of a training; the first third warms up.
STEPS = 24


def measure(context: Context) -> Outcome:
    """Train a few steps on growing numbers of cases, each in a fresh process; MONAI's CacheDataset loads them."""
    counts = context.choose((10, 100, 1000), (10, 100))
    store = context.work / "prepared"
    write_cases(store, max(counts))
    done = context.counter(2 * len(counts))
    memory: list[tuple[float, float]] = []
    cached: list[tuple[float, float]] = []
    seconds: list[tuple[float, float]] = []
    for count in counts:
        with Alone() as alone:
            seconds.append((count, rounded(alone.call(train, store, count, context.work / f"fit-{count}"))))
            memory.append((count, rounded(alone.peak_mib())))
        done()
        with Alone(without_tensorflow) as alone:
            alone.call(caching.load, store, count)
            cached.append((count, rounded(alone.peak_mib())))
        done()
    curves = [
        Curve("Memory of a training", "cases", "peak memory in MiB", {"TumorLoop": memory, "CacheDataset": cached}),
        Curve("Time of a training step", "cases", "seconds", {"TumorLoop": seconds}),
    ]
    figures = [
        _growth("memory of a training", memory, "MiB"),
        _growth("time of a training step", seconds, "s"),
    ]
    return Outcome(figures, curves, [_REMARK])


def write_cases(store: Path, count: int) -> None:
    """Write prepared cases of noise with a tumor, each with voxels of its own."""
    from training.preparation.store import PreparedStore

    rng, prepared = np.random.default_rng(0), PreparedStore(store)
    label = np.zeros((SIDE,) * 3, np.uint8)
    label[12:28, 12:28, 12:28] = 2
    label[16:24, 16:24, 16:24] = 3
    for number in range(count):
        image = rng.standard_normal((*label.shape, 4), np.float32)
        prepared.put(f"case-{number:04d}", image, label, key=str(number))


def train(folder: Path, count: int, work: Path) -> float:
    """Train on the first cases of a store; return the median seconds of a step, without the first ones."""
    from training.fitting.config import FitConfig, FitProgress
    from training.fitting.fit import fit
    from training.network.unet import UNetConfig
    from training.preparation.store import PreparedStore

    store = PreparedStore(folder)
    cases = [store.get(name) for name in store.ids()[:count]]
    ended: list[float] = []

    def note(progress: FitProgress) -> None:
        ended.append(time.perf_counter())

    config = FitConfig(max_epochs=1, steps_per_epoch=STEPS, patch=(PATCH,) * 3)
    fit(config, UNetConfig(), cases, [], work_dir=work, on_progress=note)
    return float(np.median(np.diff(ended[STEPS // 3 : STEPS])))


def _growth(name: str, points: list[tuple[float, float]], unit: str) -> Figure:
    (first, low), (last, high) = points[0], points[-1]
    return Figure(
        f"{name}, {last:,.0f} cases",
        high,
        unit,
        peer=f"with {first:,.0f} cases",
        peer_value=low,
        bar=f"flat: at most {FLAT:g} times",
        kept=high <= FLAT * low,
    )


_REMARK = (
    f"Prepared cases of {SIDE} voxels cubed, two patches of {PATCH} voxels cubed a step, the bundled network's size. "
    "CacheDataset, MONAI Label's usual choice, holds what it has loaded."
)
