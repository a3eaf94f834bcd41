"""Comparison of a cohort's labelmaps with the truth, in turns with MONAI's metrics."""

from __future__ import annotations

import statistics

import numpy as np

from benchmarks.alone import Alone
from benchmarks.context import Context
from benchmarks.measure import in_turns
from benchmarks.outcome import Outcome, median_of
from benchmarks.peers import metrics, without_tensorflow
from training.phantoms.files import on_brats_grid
from training.phantoms.generate import generate

_SEEDS = (44, 46, 43, 47)


def measure(context: Context) -> Outcome:
    """Measure Dice, HD95 and surface Dice of whole tumor, tumor core and enhancing tumor, case by case."""
    labels = [on_brats_grid(generate(seed).label) for seed in _SEEDS[: context.choose(4, 1)]]
    done = context.counter(2 * (len(labels) + 1))
    with Alone() as own, Alone(without_tensorflow) as peer:
        runs = {
            "own": lambda number: own.timed(compare, moved(labels[number]), labels[number]),
            "peer": lambda number: peer.timed(metrics.compare, moved(labels[number]), labels[number]),
        }
        in_turns(1, runs, done)
        found = in_turns(len(labels), runs, done)
    figure = median_of(
        "one case: Dice, HD95, surface Dice of three regions",
        [one.seconds for one in found["own"]],
        cpu=[one.cpu for one in found["own"]],
        peer="MONAI's metrics",
        peer_value=statistics.median(one.seconds for one in found["peer"]),
    )
    apart = max(
        abs(a - b)
        for one, other in zip(found["own"], found["peer"], strict=True)
        for a, b in zip(one.result, other.result, strict=True)
    )
    remark = (
        "Labelmaps of 240 x 240 x 155 voxels, moved by two voxels against the truth. The Dice values of both differ by "
        f"{apart:.1g} at most. The network's share of an evaluation is under *Request*."
    )
    return Outcome([figure], remarks=[remark])


def moved(label: np.ndarray) -> np.ndarray:
    """Return a labelmap moved by two voxels along the first axis: a segmentation that is not quite right."""
    return np.roll(label, 2, axis=0)


def compare(prediction: np.ndarray, truth: np.ndarray) -> list[float]:
    """Compute the metrics of one case; return the Dice of the regions."""
    from training.evaluation.metrics import hd95, region_dice, surface_dice
    from training.labels import REGIONS, region_mask

    spacing = (1.0, 1.0, 1.0)
    for region in REGIONS:
        pair = region_mask(prediction, region), region_mask(truth, region)
        hd95(*pair, spacing)
        surface_dice(*pair, spacing)
    return list(region_dice(prediction, truth).values())
