"""Preprocessing of volumes as they were scanned: with skull, on several grids, the patient moved between them.

The result is an ordinary case: four stripped volumes that lie on each other. Volumes that are that already pass
untouched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from training.errors import InputError
from training.images.derived_grids import canonical_grid
from training.images.grid import Grid, Volume, transform_points
from training.images.resample import index_map, resample_mask, resampled
from training.preprocessing import sentences
from training.preprocessing.placing import place, scanned_values, tissue_of, with_background
from training.preprocessing.plan import Plan, plan
from training.registration.alignment import Alignment, move
from training.registration.rigid import register
from training.skull_stripping.border import without_rim
from training.skull_stripping.check import check_brain, coverage_warnings, orientation_problems, volume_problems
from training.skull_stripping.extract import brain_mask

#: Increment when preprocessing gives other volumes for the same files.
PREPROCESSING_VERSION = 3
#: Where registering moves no voxel of the brain by more than this, the alignment of the headers is kept: registering is
#: not more exact than this.
_SAME_PLACE_MM = 1.0
#: Below this share of the brain, a series is told to show a part of it only.
_COVERED = 0.97

#: Called with the fraction done (0-1) and the stage: ``registering`` or ``stripping``. May raise to stop the work.
ProgressCallback = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class Preprocessed:
    """An ordinary case, made of volumes as they were scanned.

    Attributes:
        volumes: By role, float32, stripped and aligned: the reference on its own grid, each other one on the 1 mm grid
            of :func:`training.images.derived_grids.canonical_grid` of it, or untouched where it needed no step.
        reference: The role in whose frame they lie.
        brain: The brain, uint8 0 or 1 on that 1 mm grid; ``None`` if no step ran.
        alignments: What registering found, by role; none for the reference, and for volumes that were not registered.
        moved: The roles that were moved by it; the others lie where their headers say.
        steps: What ran and what was not needed, one sentence each.
        warnings: What may make the result poor, one sentence each.
        seconds: Time of each stage that ran: ``stripping``, ``registering``, ``resampling``.
        changed: Whether any volume was changed; if not, :attr:`volumes` are those given.
    """

    volumes: dict[str, Volume]
    reference: str
    brain: Volume | None = None
    alignments: dict[str, Alignment] = field(default_factory=dict)
    moved: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    changed: bool = False


def preprocess(
    volumes: Mapping[str, Volume],
    *,
    reference: str | None = None,
    as_scanned: bool | None = None,
    force: bool = False,
    brain: Volume | None = None,
    on_progress: ProgressCallback | None = None,
) -> Preprocessed:
    """Register and strip volumes as far as they need it.

    Args:
        volumes: By role, each on its own grid; at least one.
        reference: The role in whose frame the others are moved; ``None`` for T1ce, or the first present of T1, T2 and
            FLAIR.
        as_scanned: ``None`` to find out which steps are needed (:func:`training.preprocessing.plan.plan`); false for
            none; true for all: each series has the skull, and none lies on another.
        force: Use a series that does not fit, and a brain that is implausible, and only warn of it.
        brain: The brain, to be used instead of the one that would be found: non-zero is inside, on any grid in the
            frame of the reference.
        on_progress: Called with the fraction done and the stage.

    Raises:
        InputError: If a series does not fit the reference (``field`` is its role), or no plausible brain is found
            (``field`` is ``"brain"``), and it is not forced.
    """
    wanted = plan(volumes, reference, as_scanned, has_brain=brain is not None, force=force)
    if not wanted.needed:
        told = sentences.not_needed(registering=False, stripping=False) if as_scanned is not False else []
        return Preprocessed(dict(volumes), wanted.reference, steps=tuple(told))
    return _Run(volumes, wanted, force, on_progress or (lambda share, stage: None)).result(brain)


class _Run:
    """One preprocessing, and what it has found so far."""

    def __init__(self, volumes: Mapping[str, Volume], wanted: Plan, force: bool, report: ProgressCallback) -> None:
        self._volumes, self._plan, self._force, self._report = volumes, wanted, force, report
        self._grid = canonical_grid(volumes[wanted.reference].grid)
        self._in_frame: dict[str, Volume] = {wanted.reference: volumes[wanted.reference]}
        self._alignments: dict[str, Alignment] = {}
        self._moved: list[str] = []
        self._steps: list[str] = []
        self._warnings: list[str] = []
        self._seconds: dict[str, float] = {}
        self._tasks, self._done = len(wanted.registered) + bool(wanted.heads), 0

    def result(self, given: Volume | None) -> Preprocessed:
        """Do what the plan says."""
        source = self._plan.brain_from
        brain = self._given(given) if given is not None else None
        if brain is None and source == self._plan.reference:
            brain = self._brain(source)
        # the source first: the others are compared within the brain that is found in it
        for role in sorted(self._plan.registered, key=lambda role: role != source):
            self._register(role, brain)
            if role == source and brain is None:
                brain = self._brain(role)
        for role in self._volumes:
            self._in_frame.setdefault(role, self._volumes[role])
        if brain is None and source is not None:
            brain = self._brain(source)
        if brain is not None and source is not None and self._can_trim(source):
            brain = self._trimmed(brain, source)
        with self._timed("resampling"):
            volumes = {role: self._placed(role, brain) for role in self._volumes}
            inside = brain if brain is not None else self._tissue(self._plan.reference)
        told = sentences.not_needed(registering=bool(self._plan.registered), stripping=bool(self._plan.heads))
        self._report(1.0, "registering" if self._plan.registered else "stripping")
        return Preprocessed(
            volumes,
            self._plan.reference,
            Volume(inside.astype(np.uint8), self._grid),
            self._alignments,
            tuple(self._moved),
            (*self._steps, *told),
            tuple(self._warnings),
            {stage: round(seconds, 3) for stage, seconds in self._seconds.items()},
            any(volumes[role] is not self._volumes[role] for role in volumes),
        )

    def _given(self, brain: Volume) -> np.ndarray:
        """Return a brain that the user drew, on the 1 mm grid."""
        inside = resample_mask(brain.data > 0, index_map(brain.grid.affine, self._grid.affine), self._grid.shape)
        if not inside.any():
            raise InputError("The brain mask lies outside of the reference, or is empty.", field="brain")
        self._done += 1
        self._steps.append(sentences.given(self._ml(inside)))
        return inside

    def _brain(self, source: str) -> np.ndarray:
        """Find the brain in a volume, and return it on the 1 mm grid of the reference."""
        if source not in self._plan.heads:
            inside = self._tissue(source)
            self._done += 1
            self._steps.append(sentences.masked(self._plan.heads, source, self._ml(inside)))
            return inside
        with self._timed("stripping"):
            volume = self._in_frame[source]
            head = resampled(volume, canonical_grid(volume.grid))
            mask = brain_mask(head, on_progress=self._task("stripping"))
            # what is trimmed is measured afterwards
            check = orientation_problems if self._can_trim(source) else check_brain
            problems = check(mask, head)
            inside = resample_mask(mask.data > 0, index_map(head.grid.affine, self._grid.affine), self._grid.shape)
        self._refuse(source, problems)
        self._warnings += coverage_warnings(mask)
        self._steps.append(sentences.stripped(source, self._ml(inside)))
        return inside

    def _refuse(self, source: str, problems: tuple[str, ...]) -> None:
        """Raise InputError for a brain that cannot be right, or warn of it if it is forced."""
        if problems and not self._force:
            raise sentences.implausible(source, problems)
        self._warnings += problems

    def _can_trim(self, source: str) -> bool:
        """Return whether the border of the brain that is found in a series can be compared in FLAIR."""
        return {source, "flair"} <= set(self._plan.heads)

    def _trimmed(self, brain: np.ndarray, source: str) -> np.ndarray:
        """Remove what is dark on T1 and FLAIR from the border of the brain that was found; all series are aligned."""
        with self._timed("stripping"):
            flair, covered = scanned_values(self._in_frame["flair"], self._grid)
            inside = without_rim(brain, resampled(self._in_frame[source], self._grid).data, flair, covered)
        self._refuse(source, volume_problems(Volume(inside.astype(np.uint8), self._grid)))
        removed = self._ml(brain) - self._ml(inside)
        self._steps.append(sentences.trimmed(removed, self._ml(inside)))
        return inside

    def _register(self, role: str, brain: np.ndarray | None) -> None:
        """Find where a series lies on the reference, and move it there if that is elsewhere."""
        reference, moving = self._plan.reference, self._volumes[role]
        if brain is None and reference not in self._plan.heads:
            brain = self._tissue(reference)
        mask = None
        # two whole heads are compared as such, skull and skin included: that is more robust, and as exact
        if brain is not None and not {role, reference} <= {*self._plan.heads}:
            mask = Volume(brain.astype(np.uint8), self._grid)
        report = self._task("registering")
        with self._timed("registering"):
            found = register(
                self._volumes[reference],
                moving,
                fixed_mask=mask,
                on_progress=lambda share, stage: report(share),
            )
        if not found.trusted:
            if not self._force:
                raise sentences.unfit(role, reference, found)
            self._warnings.append(sentences.forced(role, reference, found))
        elif found.mirrored:
            self._warnings.append(sentences.mirrored(role, reference))
        self._alignments[role] = found
        apart = _farthest(found.matrix, self._grid, brain)
        if apart < _SAME_PLACE_MM:
            self._in_frame[role] = moving
            self._steps.append(sentences.kept(role, reference, apart))
            return
        self._in_frame[role] = move(moving, found)
        self._moved.append(role)
        self._steps.append(sentences.registered(role, reference, found))

    def _placed(self, role: str, brain: np.ndarray | None) -> Volume:
        """Return one volume of the result."""
        volume, stripped = self._in_frame[role], role not in self._plan.heads
        if stripped and role not in self._moved:
            return self._volumes[role]
        if role == self._plan.reference:
            assert brain is not None
            to_brain = index_map(self._grid.affine, volume.grid.affine)
            inside = resample_mask(brain, to_brain, volume.grid.shape)
            return Volume(with_background(volume.data, inside), volume.grid)
        placed = place(volume, self._grid, None if stripped else brain, stripped=stripped)
        if not stripped and brain is not None:
            covered = np.count_nonzero(placed.data) / max(np.count_nonzero(brain), 1)
            if covered < _COVERED:
                self._warnings.append(sentences.covers(role, covered))
        return placed

    def _tissue(self, role: str) -> np.ndarray:
        """Return the tissue of a stripped volume on the 1 mm grid."""
        volume = self._in_frame[role]
        return resample_mask(tissue_of(volume), index_map(volume.grid.affine, self._grid.affine), self._grid.shape)

    def _ml(self, mask: np.ndarray) -> float:
        return float(np.count_nonzero(mask)) * self._grid.voxel_ml

    def _task(self, stage: str) -> Callable[[float], None]:
        """Begin a task and return the function that reports how much of it is done."""
        begun = self._done
        self._done += 1
        return lambda share: self._report((begun + share) / self._tasks, stage)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - started


def _farthest(matrix: np.ndarray, grid: Grid, brain: np.ndarray | None) -> float:
    """Return by how many mm a motion moves the voxel of the brain, or of the whole grid, that it moves most.

    Args:
        matrix: 4x4, RAS mm to RAS mm.
        grid: The grid of ``brain``.
        brain: ``(x, y, z)`` bool.
    """
    if brain is None or not brain.any():
        points = grid.corners()
    else:
        points = transform_points(grid.affine, 2 * np.argwhere(brain[::2, ::2, ::2]))
    return float(np.linalg.norm(transform_points(matrix, points) - points, axis=1).max())
