"""Time and memory of the networks alone against the number of voxels."""

from __future__ import annotations

import numpy as np

from benchmarks import ours
from benchmarks.alone import Alone
from benchmarks.context import Context
from benchmarks.outcome import Curve, Outcome, rounded
from benchmarks.peers import bundle, without_tensorflow


def measure(context: Context) -> Outcome:
    """Measure cubes of growing sides, in turns with the bundle's network; the smallest comes first, for the peaks."""
    sides = context.choose((64, 96, 128, 160, 192), (64, 96, 128))
    rounds = context.choose(3, 1)
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {"s": {}, "MiB": {}}
    done = context.counter(2 * len(sides))
    with Alone() as own, Alone(without_tensorflow) as peer:
        for side in sides:
            own.call(ours.load_image, np.random.default_rng(0).standard_normal((side, side, side, 4), np.float32))
            peer.call(bundle.load, (side,) * 3)
            runs = {"TumorLoop": (own, ours.compute, rounds), "the bundle": (peer, bundle.compute, 1)}
            for name, (process, compute, times) in runs.items():
                seconds = float(np.median([process.timed(compute).seconds for _ in range(times)]))
                lines["s"].setdefault(name, []).append((side**3 / 1e6, rounded(seconds)))
                lines["MiB"].setdefault(name, []).append((side**3 / 1e6, rounded(process.peak_mib())))
                done()
    curves = [
        Curve("Time of a prediction", "million voxels", "seconds", lines["s"]),
        Curve("Memory of a prediction", "million voxels", "peak memory in MiB", lines["MiB"]),
    ]
    return Outcome(curves=curves, remarks=[_REMARK])


_REMARK = (
    "The networks alone, on cubes, each in a process of its own; the bundle's without its window, to which it would "
    "pad small images. A whole head of BraTS has 9 million voxels, all of which the bundle computes; TumorLoop "
    "computes the box of the brain, about 4 million. If memory is short, TumorLoop computes in tiles."
)
