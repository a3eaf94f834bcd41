"""One raw phantom through the product, from its DICOM files to the labelmap, compared with what is true."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from training.dicom.choose import choose
from training.dicom.read import read_instances
from training.dicom.series import find_series
from training.evaluation.metrics import region_dice
from training.images.derived_grids import canonical_grid
from training.images.grid import Volume
from training.images.masks import dice
from training.images.resample import index_map, resample_labels, resample_mask
from training.labels import REGIONS
from training.phantoms.raw import REFERENCE, RawStudy, raw_study
from training.phantoms.raw_files import write_dicom
from training.prediction.segmenter import Segmentation, Segmenter
from training.preprocessing.preprocess import Preprocessed
from training.registration.alignment import rotation_degrees
from training.skull_stripping.check import LARGEST_ML, SMALLEST_ML

#: Maximum motion between the series.
DEGREES, MILLIMETERS = 35.0, 40.0
#: Bars of the project.
MAX_ERROR_MM, MIN_BRAIN_DICE, MIN_TUMOR_INSIDE, MAX_LOSS = 1.0, 0.96, 0.99, 0.03


@dataclass(frozen=True)
class Outcome:
    """What became of one raw phantom.

    Attributes:
        kind: Kind of tumor.
        motion: Role to degrees and mm of the true motion.
        error: Role to mean registration error over the brain, in mm.
        refused: Roles that were not trusted.
        brain_dice: Of the brain mask, to all inside the pial surface.
        intracranial_dice: To all inside the dura; masks usually lie between both surfaces.
        brain_ml: Volume of the brain, of the mask, and of all inside the dura.
        tumor_inside: Share of the tumor inside the brain mask; ``None`` without a tumor.
        dice: Of WT, TC and ET, from raw.
        aligned_dice: The same from the same head, stripped and aligned with what is true.
        seconds, cpu, memory: By stage: seconds, processor seconds, and the largest resident memory in MiB.
        warnings: Of preprocessing.
        fault: An exception that is no refusal.
    """

    kind: str = ""
    motion: dict[str, list[float]] = field(default_factory=dict)
    error: dict[str, float] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    brain_dice: float = 0.0
    intracranial_dice: float = 0.0
    brain_ml: list[float] = field(default_factory=list)
    tumor_inside: float | None = None
    dice: dict[str, float] = field(default_factory=dict)
    aligned_dice: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    fault: str = ""

    @property
    def stopped(self) -> list[str]:
        """What is not trusted, so that nothing is computed unless forced: roles, and ``brain``."""
        brain = self.brain_ml and not SMALLEST_ML <= self.brain_ml[1] <= LARGEST_ML
        return [*self.refused, *(["brain"] if brain else [])]

    @property
    def has_tumor(self) -> bool:
        """Whether the head has a tumor."""
        return self.tumor_inside is not None


class Stages:
    """Seconds, processor seconds and memory of each stage; :meth:`begin` ends the one before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self.memory: dict[str, float] = {}
        self._stage, self._since, self._cpu_since = "", time.perf_counter(), time.process_time()

    def begin(self, stage: str) -> None:
        """Begin a stage; nothing happens if it is the current one."""
        if stage == self._stage:
            return
        now, used = time.perf_counter(), time.process_time()
        if self._stage:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._since
            self.cpu[self._stage] = self.cpu.get(self._stage, 0.0) + used - self._cpu_since
        self._stage, self._since, self._cpu_since = stage, now, used

    @contextmanager
    def watched(self) -> Iterator[Stages]:
        """Watch the memory of this process; the last stage ends with the block."""
        stop = threading.Event()
        process = psutil.Process()

        def watch() -> None:
            while not stop.wait(0.05):
                if self._stage:
                    used = process.memory_info().rss / 2**20
                    self.memory[self._stage] = max(self.memory.get(self._stage, 0.0), used)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield self
        finally:
            self.begin("")
            stop.set()
            watcher.join()


@dataclass(frozen=True, eq=False)
class Run:
    """A raw study and all that was made of it."""

    study: RawStudy
    raw: dict[str, Volume]
    preprocessed: Preprocessed
    segmentation: Segmentation
    stages: Stages


def run(seed: int, segmenter: Segmenter) -> Run:
    """Make a raw study, write it as DICOM, and segment it as a user would, from its folder.

    Series that are not trusted are forced, so that their error is known.
    """
    study = raw_study(seed, degrees=DEGREES, mm=MILLIMETERS)
    with tempfile.TemporaryDirectory(prefix="tumorloop-raw-") as folder:
        write_dicom(study, Path(folder) / "study")
        with Stages().watched() as stages:
            stages.begin("reading")
            found = choose(find_series(Path(folder) / "study"))
            raw = {role: read_instances(series.instances, series.part) for role, series in found.items()}
            stages.begin("checking")
            segmentation = segmenter.segment(raw, force=True, on_progress=lambda share, stage: stages.begin(stage))
    assert segmentation.preprocessed is not None
    return Run(study, raw, segmentation.preprocessed, segmentation, stages)


def measure(made: Run, segmenter: Segmenter) -> Outcome:
    """Compare a run with what is true, and with the same head stripped and aligned."""
    study, pre = made.study, made.preprocessed
    found = {role: one.matrix if role in pre.moved else np.eye(4) for role, one in pre.alignments.items()}
    aligned = segmenter.segment(study.aligned(canonical_grid(study.label.grid)), as_scanned=False)
    stages = made.stages
    return Outcome(
        kind=study.kind,
        motion={role: _amount(study, role) for role in study.volumes if role != REFERENCE},
        error={role: round(study.error(role, matrix), 3) for role, matrix in found.items()},
        refused=[role for role, one in pre.alignments.items() if not one.trusted],
        **_brain(study, pre),
        dice=_dice(made.segmentation, made.raw[REFERENCE], study.label),
        aligned_dice=_dice(aligned, study.label, study.label),
        seconds={stage: round(value, 2) for stage, value in stages.seconds.items()},
        cpu={stage: round(value, 2) for stage, value in stages.cpu.items()},
        memory={stage: round(value) for stage, value in stages.memory.items()},
        warnings=list(pre.warnings),
    )


def _amount(study: RawStudy, role: str) -> list[float]:
    motion = study.transforms[role]
    points = study.brain_points()
    center = (points.min(axis=0) + points.max(axis=0)) / 2
    return [
        round(rotation_degrees(motion), 1),
        round(float(np.linalg.norm(motion[:3, :3] @ center + motion[:3, 3] - center)), 1),
    ]


def _brain(study: RawStudy, pre: Preprocessed) -> dict[str, Any]:
    """Compare the brain mask with the truth, on the 1 mm grid of the reference."""
    assert pre.brain is not None
    grid, found = pre.brain.grid, pre.brain.data > 0
    onto = index_map(study.brain.grid.affine, grid.affine)
    brain, intracranial = (resample_mask(mask.data > 0, onto, grid.shape) for mask in (study.brain, study.intracranial))
    tumor = resample_labels(study.label.data, onto, grid.shape) > 0
    return {
        "brain_dice": round(dice(found, brain), 4),
        "intracranial_dice": round(dice(found, intracranial), 4),
        "brain_ml": [round(float(mask.sum()) * grid.voxel_ml, 1) for mask in (brain, found, intracranial)],
        "tumor_inside": round(float(np.mean(found[tumor])), 5) if tumor.any() else None,
    }


def _dice(segmentation: Segmentation, reference: Volume, truth: Volume) -> dict[str, float]:
    """Return the Dice of a result, which lies on the voxels of ``reference``, to the truth."""
    grid = segmentation.labelmap.grid
    assert grid.matches(reference.grid)
    label = resample_labels(truth.data, index_map(truth.grid.affine, grid.affine), grid.shape)
    values = region_dice(segmentation.labelmap.data, label)
    return {region: round(values[region], 4) for region in REGIONS}
