"""Generation of whole-head phantoms, by one process and by all cores."""

from __future__ import annotations

import time

from benchmarks.alone import Alone
from benchmarks.context import Context
from benchmarks.outcome import Figure, Outcome, median_of, rounded
from training.parallel import available_cores, map_unordered
from training.phantoms.generate import generate

_FIRST_SEED = 100


def measure(context: Context) -> Outcome:
    """Generate the same phantoms by one process and by one for each core."""
    count = context.choose(6, 2)
    seeds = range(_FIRST_SEED, _FIRST_SEED + count)
    done = context.counter(2 * count)
    single, cpu = [], []
    with Alone() as alone:
        alone.call(generate_one, _FIRST_SEED - 1)
        for seed in seeds:
            timed = alone.timed(generate_one, seed)
            single.append(timed.seconds)
            cpu.append(timed.cpu)
            done()
    started = time.perf_counter()
    for _ in map_unordered(generate_one, seeds):
        done()
    each = (time.perf_counter() - started) / count
    cores = available_cores()
    return Outcome(
        [
            median_of("one phantom, one process", single, cpu=cpu),
            Figure(
                f"one of {count} phantoms, {cores} processes with their start",
                rounded(each),
                peer=f"limit: mean of one process over {cores}",
                peer_value=rounded(sum(single) / count / cores),
                runs=count,
            ),
        ]
    )


def generate_one(seed: int) -> int:
    """Generate a phantom; return its number of voxels."""
    return int(generate(seed).label.size)
