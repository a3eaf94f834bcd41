"""Which label scheme a file has, and the labelmap with the values of :mod:`training.labels`.

Decided by the first of these that says it: an explicit choice; the names of segments; a sidecar or the ``dataset.json``
(:mod:`training.cases.label_sidecars`); the file's own header, if TumorLoop wrote it; the naming
(:mod:`training.cases.label_naming`); the set of values, together with those of the other labels of the data set. A file
that two schemes read differently is refused, and so is one that contradicts its scheme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from training.cases.label_naming import Naming, naming_of, ways_out
from training.cases.label_sidecars import described
from training.dicom.seg_read import is_dicom_seg, read_seg
from training.errors import InputError
from training.images.grid import Volume
from training.images.nrrd import SEGMENT_NAMES
from training.images.read import label_statement as file_statement
from training.images.read import read_labelmap as read_file
from training.label_schemes import (
    SCHEMES,
    WAYS_OUT,
    Scheme,
    decided_by_values,
    parse_scheme,
    stated_scheme,
    value_counts,
)

#: The scheme of everything that TumorLoop stores itself.
OWN = "tumorloop"
#: Other labels of a data set that are read where the values of one leave its scheme open.
_MOST_PEERS = 50
_IDENTITY = {1: 1, 2: 2, 3: 3}


@dataclass(frozen=True)
class LabelContext:
    """What is known of a label besides its file.

    Attributes:
        scheme: The explicit choice, as for :func:`training.label_schemes.parse_scheme`; ``None`` if there is none.
        root: Folder above which no other file and no folder name is considered; ``None`` for no limit.
        peers: The labels of the same folder of cases, which are likely to have the same scheme.
    """

    scheme: str | None = None
    root: Path | None = None
    peers: tuple[Path, ...] = ()


@dataclass(frozen=True)
class LabelReading:
    """How the values of a file are read.

    Attributes:
        scheme: Name of the scheme.
        why: What it was recognized by.
        values: Value in the file to value of :mod:`training.labels`.
    """

    scheme: str
    why: str
    values: Mapping[int, int]

    @property
    def own(self) -> bool:
        """Whether it is TumorLoop's own, so that nothing has to be said about it."""
        return self.scheme == OWN

    def __str__(self) -> str:
        return f"{self.scheme} (by {self.why})"


def read_labelmap(path: Path) -> Volume:
    """Read a labelmap as :func:`training.images.read.read_labelmap`, or a DICOM SEG, with the same errors."""
    return read_seg(path) if is_dicom_seg(path) else read_file(path)


def label_statement(path: Path) -> str:
    """Return what a labelmap says of its values, as :func:`training.images.read.label_statement`; or of a DICOM SEG."""
    return SEGMENT_NAMES if is_dicom_seg(path) else file_statement(path)


def read_label(path: Path, context: LabelContext | None = None) -> tuple[Volume, LabelReading]:
    """Read a labelmap in any known scheme.

    Args:
        path: Any readable format.
        context: What is known besides.

    Returns:
        The labelmap, ``uint8`` with the values of :mod:`training.labels` on the grid of the file, and how it was read.

    Raises:
        InputError: If the file cannot be read, its scheme is not certain, or its values contradict the scheme;
            ``field`` is ``"label"``. The message says how to name the scheme.
    """
    path = Path(path)
    volume = read_labelmap(path)
    reading, scheme = _decide(path, value_counts(volume.data), volume.grid.voxel_ml, context or LabelContext())
    return Volume(scheme.apply(volume.data), volume.grid), reading


def label_reading(path: Path, context: LabelContext | None = None) -> LabelReading:
    """Return how a labelmap is read, without its voxels if they were counted before.

    Raises:
        InputError: As :func:`read_label`.
    """
    path = Path(path)
    counts, voxel_ml = _counted(path)
    return _decide(path, counts, voxel_ml, context or LabelContext())[0]


def says_its_scheme(path: Path) -> bool:
    """Return whether a labelmap names its labels itself: by segments, or because TumorLoop wrote it as it is.

    Raises:
        InputError: If the file cannot be read.
    """
    words = label_statement(path)
    return words == SEGMENT_NAMES or stated_scheme(words, _counted(path)[0]) is not None


def _decide(
    path: Path, counts: Mapping[int, int], voxel_ml: float, context: LabelContext
) -> tuple[LabelReading, Scheme]:
    words = label_statement(path)
    if words == SEGMENT_NAMES:  # read_labelmap has given them TumorLoop's values
        return LabelReading(SEGMENT_NAMES, "its segments", _IDENTITY), SCHEMES[OWN]
    own = stated_scheme(words, counts)
    holds = _Holds(path, counts, voxel_ml)
    scheme, why = _chosen(path, context, own) or _recognized(path, context, holds)
    holds.check(scheme, why)
    if own is not None and own.reading(counts) != scheme.reading(counts):
        raise InputError(
            f"{path} says in its header that TumorLoop wrote it with the values of {own.name} ({own.meaning()}), but "
            f"{why} says {scheme.meaning()}. If the header is right, leave out the other; if not, save the file "
            "without the description in its header.",
            field="label",
        )
    return LabelReading(scheme.known_name(), why, scheme.values), scheme


def _chosen(path: Path, context: LabelContext, own: Scheme | None) -> tuple[Scheme, str] | None:
    """Return the scheme that somebody or something names, and by what."""
    if context.scheme is not None:
        return parse_scheme(context.scheme), f"the chosen label scheme {context.scheme}"
    found = described(path, context.root)
    if found is not None and (found.covers or own is None):
        return found.scheme, str(found.file)
    return None if own is None else (own, "its header")


def _recognized(path: Path, context: LabelContext, holds: _Holds) -> tuple[Scheme, str]:
    """Return the scheme by the naming and by the values, and by what it was recognized."""
    naming = naming_of(path, context.root)
    candidates = tuple(SCHEMES.values()) if naming is None else naming.schemes
    why = "its values" if naming is None else naming.why
    fitting = holds.fitting(candidates)
    if not fitting:
        holds.refuse_values(naming)
    if len({scheme.reading(holds.counts) for scheme in fitting}) > 1:
        others = _values_of_peers(path, context, naming)
        together = set(holds.counts).union(*others)
        if naming is None:
            by_values = decided_by_values(set(holds.counts), others)
            fitting = fitting if by_values is None else [by_values]
        else:
            fitting = [scheme for scheme in fitting if scheme.fits(together)] or fitting
        why = f"{why} and those of the other labels" if set(holds.counts) != together else why
    if len({scheme.reading(holds.counts) for scheme in fitting}) > 1:
        holds.refuse_ambiguity(fitting, naming)
    return fitting[0], why


@dataclass(frozen=True)
class _Holds:
    """The values that a file holds."""

    path: Path
    counts: Mapping[int, int]
    voxel_ml: float

    def __str__(self) -> str:
        values = list(self.counts.items())
        more = f" and {len(values) - 8} more" if len(values) > 8 else ""
        return ", ".join(f"{value} ({count * self.voxel_ml:.1f} mL)" for value, count in values[:8]) + more

    def fitting(self, schemes: Sequence[Scheme]) -> list[Scheme]:
        return [scheme for scheme in schemes if scheme.fits(self.counts)]

    def check(self, scheme: Scheme, why: str) -> None:
        """Refuse values that are not those of the scheme."""
        strange = [value for value in self.counts if value not in scheme.values]
        if not strange:
            return
        first = strange[0]
        name = scheme.unknown.get(first)
        what = f"called {name!r}, which is none of the labels" if name is not None else f"not one of {scheme.meaning()}"
        raise InputError(
            f"{self.path} holds the values {self}; by {why} the value {first} is {what}. {WAYS_OUT}", field="label"
        )

    def refuse_values(self, naming: Naming | None) -> None:
        if naming is None:
            strange = [value for value in self.counts if not 1 <= value <= 4]
            known = "; ".join(f"{scheme.name}: {scheme.meaning()}" for scheme in SCHEMES.values())
            raise InputError(
                f"{self.path} holds the values {self}, which are those of no known label scheme ({known}). "
                f"{'Labels of other values can be named. ' if strange else ''}{WAYS_OUT}",
                field="label",
            )
        meant = " or ".join(f"{scheme.name} ({scheme.meaning()})" for scheme in naming.schemes)
        raise InputError(
            f"{self.path} holds the values {self}, but by {naming.why} its label scheme is {meant}. {ways_out(naming)}",
            field="label",
        )

    def refuse_ambiguity(self, fitting: Sequence[Scheme], naming: Naming | None) -> None:
        readings: dict[tuple[int, ...], list[Scheme]] = {}
        for scheme in fitting:
            readings.setdefault(scheme.reading(self.counts), []).append(scheme)
        said = "; ".join(f"{', '.join(one.name for one in same)}: {same[0].meaning()}" for same in readings.values())
        raise InputError(
            f"{self.path} holds the values {self}, and nothing says what they mean. Label schemes that fit and differ: "
            f"{said}. {ways_out(naming)}",
            field="label",
        )


def _values_of_peers(path: Path, context: LabelContext, naming: Naming | None) -> list[set[int]]:
    """Return the values of other labels of the data set that are as little named as this one."""
    found = []
    for peer in [peer for peer in context.peers if peer != path][:_MOST_PEERS]:
        try:
            counts, _ = _counted(peer)
            same = naming_of(peer, context.root)
            named = says_its_scheme(peer) or described(peer, context.root) is not None
        except (InputError, OSError):
            continue  # an unusable label is no evidence
        schemes = None if naming is None else naming.schemes
        if not named and (None if same is None else same.schemes) == schemes and all(value <= 4 for value in counts):
            found.append(set(counts))
    return found


def _counted(path: Path) -> tuple[Mapping[int, int], float]:
    """Return the voxels of each value, and the volume of a voxel in mL; counted once per version of the file."""
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", field="label") from error
    return _count(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _count(path: Path, size: int, changed: int) -> tuple[Mapping[int, int], float]:
    volume = read_labelmap(path)
    return value_counts(np.asarray(volume.data)), volume.grid.voxel_ml
