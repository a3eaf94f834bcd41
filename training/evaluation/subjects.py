"""Evaluation subjects: labeled cases and phantoms in one form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from training.cases.case import Case
from training.images.grid import Grid, Volume
from training.modalities import ROLES
from training.parallel import map_unordered
from training.phantoms.generate import Phantom, TumorOption, generate, phantom_id
from training.preparation.prepare import matching_role
from training.preprocessing.preprocess import preprocess

#: Kinds of tumor of the phantoms, as shown to people.
KIND_TITLES: dict[str, str] = {
    "ring": "ring-enhancing",
    "solid": "solid, enhancing",
    "low": "low grade",
    "patchy": "patchy enhancement",
    "healthy": "no tumor",
}


@dataclass(frozen=True, eq=False)
class Subject:
    """A head with its true labels.

    Attributes:
        id: The case's id, or ``phantom-<seed>``.
        patient: Patient of the case; the id for a phantom.
        volumes: The four modalities by role, registered and stripped.
        truth: ``uint8`` values of :mod:`training.labels`, on the grid of one of the volumes.
        kind: Kind of tumor of a phantom (``"ring"`` ...); empty for a case.
        labels: Label scheme of the truth's file, and what it was recognized by; empty if it is TumorLoop's own.
        warnings: Warnings of preprocessing.
    """

    id: str
    patient: str
    volumes: Mapping[str, Volume]
    truth: Volume
    kind: str = ""
    labels: str = ""
    warnings: tuple[str, ...] = ()


def subject_of_case(case: Case, *, as_scanned: bool | None = None, force: bool = False) -> Subject:
    """Read a labeled case; volumes as they were scanned are registered and stripped.

    Args:
        case: The case.
        as_scanned: As for :func:`training.preprocessing.preprocess.preprocess`.
        force: The same.

    Raises:
        InputError: If it has no label, a file cannot be read, the label lies on none of the volumes' grids, or the
            volumes do not fit each other.
    """
    truth, reading, volumes = case.read_label(), case.label_reading(), case.read_all()
    reference = matching_role(truth.grid, volumes)
    with case.naming_files():
        ready = preprocess(volumes, reference=reference, as_scanned=as_scanned, force=force)
    labels = "" if reading.own else str(reading)
    return Subject(case.id, case.patient, ready.volumes, truth, labels=labels, warnings=ready.warnings)


def subject_of_phantom(phantom: Phantom) -> Subject:
    """Return a phantom as its files would hold it: with integer intensities."""
    x, y, z = phantom.label.shape
    grid = Grid((x, y, z), phantom.affine)
    image = np.round(phantom.image).astype(np.int16)
    volumes = {role: Volume(np.ascontiguousarray(image[..., k], np.float32), grid) for k, role in enumerate(ROLES)}
    name = phantom_id(phantom.seed)
    return Subject(name, name, volumes, Volume(phantom.label, grid), phantom.kind)


def phantom_subjects(
    seeds: Iterable[int],
    *,
    tumor: TumorOption = True,
    distractors: Literal["some", "all"] = "some",
    workers: int | None = None,
) -> Iterator[Subject]:
    """Generate phantoms on all cores and yield each as it is finished; only a few are held in memory.

    Args:
        seeds: Seeds; the order of the results varies.
        tumor: As in :func:`training.phantoms.generate.generate`.
        distractors: As in :func:`training.phantoms.generate.generate`.
        workers: Processes; ``None`` for one per core.
    """
    for phantom in map_unordered(_make, [(seed, tumor, distractors) for seed in seeds], workers):
        yield subject_of_phantom(phantom)


def _make(job: tuple[int, TumorOption, Literal["some", "all"]]) -> Phantom:
    seed, tumor, distractors = job
    made = generate(seed, tumor=tumor, distractors=distractors)
    # half the bytes to transfer between processes; files hold integers as well
    return replace(made, image=np.round(made.image).astype(np.int16))
