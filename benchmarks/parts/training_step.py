"""One training step, in turns with PyTorch and MONAI's U-Net of the same size."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

from benchmarks import our_training
from benchmarks.alone import Alone, Timed
from benchmarks.context import Context
from benchmarks.measure import in_turns
from benchmarks.outcome import Outcome, median_of
from benchmarks.peers import unet, without_tensorflow
from training.hardware import cpu_supports_bfloat16

PATCH, PATCHES = 96, 2
_BAR = "not slower"
_DRAWING = "drawing and augmenting the next batch, in a thread beside the step"


def measure(context: Context) -> Outcome:
    """Measure steps of both, each in a process of its own; where the CPU has bfloat16, PyTorch's with it as well."""
    rounds = context.choose(8, 3)
    image, label = our_training.batch(PATCH, PATCHES)
    precisions = (False, True) if cpu_supports_bfloat16() else (False,)
    done = context.counter((rounds + 1) * (2 + len(precisions)))
    with Alone() as own, Alone(without_tensorflow) as peer:
        weights = own.call(our_training.load, image, label), peer.call(unet.load, image, label)
        own.call(our_training.prepare_drawing, context.work / "prepared", PATCH, PATCHES)
        runs: dict[str, Callable[[int], Timed]] = {
            "own": lambda number: own.timed(our_training.step),
            _DRAWING: lambda number: own.timed(our_training.draw, number),
        }
        for bfloat16 in precisions:
            runs[_name(bfloat16)] = partial(_peer_step, peer, bfloat16)
        in_turns(1, runs, done)  # traces and allocates
        found = in_turns(rounds, runs, done)
    return _outcome(found, weights)


def _peer_step(peer: Alone, bfloat16: bool, number: int) -> Timed:
    return peer.timed(unet.step, bfloat16)


def _outcome(found: dict[str, list[Timed]], weights: tuple[int, int]) -> Outcome:
    seconds = {name: [one.seconds for one in runs] for name, runs in found.items()}
    own = statistics.median(seconds["own"])
    figures = []
    for name in (name for name in seconds if name not in ("own", _DRAWING)):
        peer = statistics.median(seconds[name])
        figures.append(
            median_of(
                f"training step, {PATCHES} patches of {PATCH} voxels cubed",
                seconds["own"],
                cpu=[one.cpu for one in found["own"]],
                peer=name,
                peer_value=peer,
                bar=_BAR,
                kept=own <= peer,
            )
        )
    figures.append(
        median_of(
            _DRAWING,
            seconds[_DRAWING],
            cpu=[one.cpu for one in found[_DRAWING]],
            peer="limit: hidden as long as the step takes more",
            peer_value=own,
        )
    )
    remark = (
        f"Forward, backward, clipping and AdamW on the same batch. Ours: Keras on TensorFlow in the precision it "
        f"chooses here, {weights[0]:,} weights; MONAI's `BasicUNet` with the same filters, {weights[1]:,}."
    )
    return Outcome(figures, remarks=[remark])


def _name(bfloat16: bool) -> str:
    return f"PyTorch, MONAI's U-Net, {'bfloat16 autocast' if bfloat16 else 'float32'}"
