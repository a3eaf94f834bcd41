"""Made hospitals: phantoms of seeds that no training uses, altered beyond what the generator draws.

They are written as case files, and go the way of any case. A head that holds too little of a label is passed over, so
that its Dice means something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from training.cases.case import Case, case_from_roles
from training.cases.label_files import LabelContext
from training.errors import InputError
from training.labels import ED, ET, NCR
from training.learning.alterations import after_surgery, holds_enough, labeling_habit, other_protocol, poor_flair
from training.learning.hospital import Hospital
from training.modalities import ROLES
from training.parallel import map_unordered
from training.phantoms.files import write_case
from training.phantoms.fixed_seeds import HOSPITAL_SEEDS
from training.phantoms.generate import GENERATOR_VERSION, Phantom, generate

_ALL = (NCR.value, ED.value, ET.value)
_SEEDS_PER_HOSPITAL = 1000


@dataclass(frozen=True)
class Recipe:
    """How a made hospital differs.

    Attributes:
        alter: Alters a phantom; deterministic for a generator of the same state.
        about: One sentence for the report.
        labels: Values that its labels hold.
    """

    alter: Callable[[Phantom, np.random.Generator], Phantom]
    about: str
    labels: tuple[int, ...] = _ALL


#: The made hospitals by name. The position decides the seeds: add new ones at the end.
MADE: dict[str, Recipe] = {
    "protocol": Recipe(
        other_protocol, "synthetic heads with other contrast curves of T1 and T1ce, sagittal FLAIR and coronal T2"
    ),
    "habit": Recipe(
        labeling_habit,
        "synthetic heads whose labels include 3 mm around the tumor in the edema and count necrosis as enhancing tumor",
        (ED.value, ET.value),
    ),
    "surgery": Recipe(
        after_surgery, "synthetic heads with an unlabeled resection cavity in the tumor, its rim of blood bright on T1"
    ),
    "poor-flair": Recipe(
        poor_flair, "synthetic heads whose FLAIR has half the resolution, blur, ghosts of motion and noise"
    ),
}


def make_phantom(name: str, seed: int) -> Phantom | None:
    """Return one altered head of a made hospital; ``None`` if it holds too little of a label."""
    plain = generate(seed)
    if not holds_enough(plain.label, _ALL):
        return None
    altered = MADE[name].alter(plain, np.random.default_rng([seed, 17]))
    return altered if holds_enough(altered.label, MADE[name].labels) else None


def make_hospital(
    name: str, folder: Path, count: int, *, workers: int | None = None, on_progress: Callable[[int], None] | None = None
) -> Hospital:
    """Return a made hospital, and write those of its cases that are not written yet.

    Args:
        name: One of :data:`MADE`.
        folder: Folder for the cases of all made hospitals.
        count: Number of cases.
        workers: Processes; ``None`` for one per core.
        on_progress: Called with the number of cases of this hospital that are ready.

    Raises:
        InputError: If there is no such hospital, or the seeds do not suffice.
    """
    if name not in MADE:
        raise InputError(f"There is no made hospital {name!r}; known are {', '.join(MADE)}.", field="made")
    place = folder / f"generator-{GENERATOR_VERSION}" / name  # another generator gives other heads for these seeds
    first = HOSPITAL_SEEDS[0] + _SEEDS_PER_HOSPITAL * list(MADE).index(name)
    seeds = iter(range(first, first + _SEEDS_PER_HOSPITAL))
    ready: list[int] = []
    while len(ready) < count:
        chunk = list(islice(seeds, count - len(ready)))
        if not chunk:
            raise InputError(f"Hospital {name} cannot have {count} cases: its seeds give {len(ready)}.", field="made")
        ready += [seed for seed in chunk if _is_written(place, seed)]
        missing = [(name, seed, str(place)) for seed in chunk if not _is_written(place, seed)]
        for seed in map_unordered(_write, missing, workers) if missing else ():
            ready += [] if seed is None else [seed]
            if on_progress is not None:
                on_progress(len(ready))
    return Hospital(name, tuple(_case(place, seed) for seed in sorted(ready)), MADE[name].about)


def _write(job: tuple[str, int, str]) -> int | None:
    name, seed, place = job
    phantom = make_phantom(name, seed)
    if phantom is None:
        return None
    write_case(phantom, Path(place), _case_id(Path(place), seed))
    return seed


def _is_written(place: Path, seed: int) -> bool:
    return _label(place, seed).is_file()  # the label is written last


def _case(place: Path, seed: int) -> Case:
    case_id = _case_id(place, seed)
    files = {role: place / case_id / f"{case_id}_{role}.nii.gz" for role in ROLES}
    case = case_from_roles(files, id=case_id, label=_label(place, seed))
    # each head is a patient of its own, and the label has the scheme of write_case whatever values it holds
    return Case(case.id, case.sources, case.label, patient=case_id, label_context=LabelContext(scheme="brats-2017"))


def _case_id(place: Path, seed: int) -> str:
    return f"{place.name}-{seed}"


def _label(place: Path, seed: int) -> Path:
    case_id = _case_id(place, seed)
    return place / case_id / f"{case_id}_seg.nii.gz"
