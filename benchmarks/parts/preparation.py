"""Preparation of a labeled case for training, in turns with MONAI's transforms."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.alone import Alone
from benchmarks.context import Context
from benchmarks.heads import write_labeled
from benchmarks.measure import in_turns
from benchmarks.outcome import Outcome, median_of
from benchmarks.peers import transforms, without_tensorflow


def measure(context: Context) -> Outcome:
    """Prepare the same case again and again, from its files to arrays on disk."""
    rounds = context.choose(4, 1)
    folder = write_labeled(context.work / "studies")
    done = context.counter(2 * (rounds + 1))
    with Alone() as own, Alone(without_tensorflow) as peer:
        runs = {
            "own": lambda number: own.timed(prepare, folder, context.work / f"own-{number}"),
            "peer": lambda number: peer.timed(transforms.prepare, folder, context.work / f"peer-{number}"),
        }
        found = in_turns(rounds + 1, runs, done)
    found = {name: timed[1:] for name, timed in found.items()}  # the first loads the libraries
    figure = median_of(
        "case of 240 x 240 x 155 voxels, files to prepared arrays",
        [one.seconds for one in found["own"]],
        cpu=[one.cpu for one in found["own"]],
        peer="MONAI's transforms",
        peer_value=statistics.median(one.seconds for one in found["peer"]),
    )
    return Outcome([figure], remarks=[_REMARK])


def prepare(folder: Path, store: Path) -> int:
    """Prepare a case and store it; return the number of voxels."""
    from training.cases.find import case_from_folder
    from training.preparation.prepare_cases import prepare_case
    from training.preparation.store import PreparedStore

    prepared = prepare_case(case_from_folder(folder), PreparedStore(store))
    return prepared.shape[0] * prepared.shape[1] * prepared.shape[2]


_REMARK = (
    "MONAI: LoadImaged, Orientationd, Spacingd (1 mm), CropForegroundd, NormalizeIntensityd over the nonzero "
    "voxels, saved as arrays. TumorLoop also finds the brain by what the borders are made of, checks the "
    "modalities against each other, and removes outliers."
)
