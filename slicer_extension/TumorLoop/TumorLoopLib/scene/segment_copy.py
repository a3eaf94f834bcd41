"""A copy of a segmentation, and the labelmap made from it; plain numpy, for any thread.

:func:`TumorLoopLib.scene.segments.extract` makes the copy on the UI thread; :func:`combine` turns it into one labelmap
on exactly the reference volume's grid and reports what the user should know before it is sent.

Where segments overlap, the label that lies in more regions wins: enhancing tumor before necrotic core before edema.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from TumorLoopLib.i18n import _
from TumorLoopLib.scene.labels import LabelSet
from TumorLoopLib.scene.resample import Resampled, crop, resample


@dataclass(frozen=True)
class LayerCopy:
    """Voxels that one or more segments share; 3D Slicer keeps segments that do not overlap in one array.

    Attributes:
        array: ``(k, j, i)`` of integers.
        to_reference: 4x4, from a voxel index (i, j, k) of ``array`` to one of the reference volume.
    """

    array: np.ndarray
    to_reference: np.ndarray


@dataclass(frozen=True)
class SegmentCopy:
    """One segment.

    Attributes:
        name: As the user sees it.
        label: Its label value, 0 without one.
        layer: Index of the layer with its voxels, -1 if it is empty.
        value: Its value in that layer.
        named_like: The label value whose name it has although its own is another one; 0 otherwise.
    """

    name: str
    label: int
    layer: int
    value: int
    named_like: int = 0


@dataclass(frozen=True)
class SegmentationCopy:
    """A whole segmentation, and the grid its labelmap should have.

    Attributes:
        name: Of the segmentation.
        reference_name: Of the reference volume.
        shape: Voxels of the reference volume, ``(k, j, i)``.
        ijk_to_ras: 4x4 float64 of that grid, parent transforms included.
        labels: The labels.
        layers: The voxels.
        segments: In the user's order.
    """

    name: str
    reference_name: str
    shape: tuple[int, int, int]
    ijk_to_ras: np.ndarray
    labels: LabelSet
    layers: list[LayerCopy]
    segments: list[SegmentCopy]


@dataclass(frozen=True)
class SegmentationReport:
    """A labelmap, and what the user should know about it.

    Attributes:
        array: ``(k, j, i)`` uint8 on the reference volume's grid, values of the labels.
        ijk_to_ras: 4x4 float64 of that grid, parent transforms included.
        problems: What sending it would lose or change; the user confirms or repairs it.
        notices: What needs no decision; shown after it was sent.
        empty: Whether no voxel has a label.
        overlapping_voxels: How many voxels of the reference belong to segments of different labels.
        outside_voxels: How many voxels of labeled segments lie outside the reference volume, and are lost.
        off_grid_voxels: How many voxels of labeled segments do not coincide with one of the reference: outside it, or
            on another grid and resampled.
        unknown_segments: Names of nonempty segments without a label; they are not in ``array``.
    """

    array: np.ndarray
    ijk_to_ras: np.ndarray
    problems: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    empty: bool = True
    overlapping_voxels: int = 0
    outside_voxels: int = 0
    off_grid_voxels: int = 0
    unknown_segments: list[str] = field(default_factory=list)


def combine(copy: SegmentationCopy) -> SegmentationReport:
    """Combine all segments that have a label into one labelmap; see the module for overlaps."""
    ranks = {label.value: rank for rank, label in enumerate(copy.labels.by_priority, start=1)}
    best = np.zeros(copy.shape, np.uint8)
    overlapping: np.ndarray | None = None
    counts = _Counts([0] * len(copy.segments))
    for number, layer in enumerate(copy.layers):
        array, to_reference = crop(layer.array, layer.to_reference)
        here = [position for position, segment in enumerate(copy.segments) if segment.layer == number]
        for position in here:
            counts.voxels[position] = int(np.count_nonzero(array == copy.segments[position].value))
        wanted = {copy.segments[at].value: ranks.get(copy.segments[at].label, 0) for at in here}
        resampled = resample(_remapped(array, wanted), to_reference, copy.shape)
        counts.add(resampled, here, copy.segments)
        target = best[resampled.box]
        overlap = (target > 0) & (resampled.array > 0) & (target != resampled.array)
        if overlap.any():
            overlapping = np.zeros(copy.shape, bool) if overlapping is None else overlapping
            overlapping[resampled.box] |= overlap
        np.maximum(target, resampled.array, out=target)
    array = _remapped(best, {rank: value for value, rank in ranks.items()})
    return _report(copy, array, counts, 0 if overlapping is None else int(np.count_nonzero(overlapping)))


def _remapped(array: np.ndarray, values: Mapping[int, int]) -> np.ndarray:
    """Replace values of nonnegative integers, ``values`` by old value; all others become 0, the result is uint8.

    Examples:
        >>> _remapped(np.array([[0, 1, 7]], np.int16), {1: 3}).tolist()
        [[0, 3, 0]]
    """
    if array.dtype == np.uint8:  # Python's own table look-up takes a tenth of numpy's time
        table = bytes(values.get(value, 0) for value in range(256))
        return np.frombuffer(bytearray(array.tobytes().translate(table)), np.uint8).reshape(array.shape)
    result = np.zeros(array.shape, np.uint8)
    for old, new in values.items():
        result[array == old] = new
    return result


@dataclass
class _Counts:
    """Voxel counts collected while segments are combined.

    Attributes:
        voxels: Of each segment, by position, since two may have the same name.
        resampled: Positions of the labeled segments that lie on another grid.
        outside: Voxels outside the reference.
        off_grid: Those, and all voxels of the resampled segments.
    """

    voxels: list[int]
    resampled: list[int] = field(default_factory=list)
    outside: int = 0
    off_grid: int = 0

    def add(self, layer: Resampled, positions: list[int], segments: list[SegmentCopy]) -> None:
        """Add the segments of one layer."""
        self.outside += layer.outside
        if layer.on_grid:
            self.off_grid += layer.outside
            return
        moved = [position for position in positions if segments[position].label and self.voxels[position]]
        self.resampled += moved
        self.off_grid += sum(self.voxels[position] for position in moved)


def _report(copy: SegmentationCopy, array: np.ndarray, counts: _Counts, overlapping: int) -> SegmentationReport:
    drawn = [segment for segment, voxels in zip(copy.segments, counts.voxels) if voxels]
    unknown = [segment.name for segment in drawn if not segment.label]
    empty = not array.any()
    messages = _Messages(copy.labels, copy.name, copy.reference_name)
    problems = [
        *([messages.empty()] if empty else []),
        *([messages.overlapping(overlapping)] if overlapping else []),
        *([messages.outside(counts.outside)] if counts.outside else []),
        *(messages.unknown(name) for name in unknown),
        *(messages.renamed(one.name, one.label, one.named_like) for one in drawn if one.named_like),
        *messages.duplicates((segment.label, segment.name) for segment in drawn if segment.label),
    ]
    notices = [
        *([messages.resampled([copy.segments[at].name for at in counts.resampled])] if counts.resampled else []),
        *messages.without_segment({segment.label for segment in copy.segments}),
    ]
    return SegmentationReport(
        array=array,
        ijk_to_ras=copy.ijk_to_ras,
        problems=problems,
        notices=notices,
        empty=empty,
        overlapping_voxels=overlapping,
        outside_voxels=counts.outside,
        off_grid_voxels=counts.off_grid,
        unknown_segments=unknown,
    )


class _Messages:
    """The problems and notices of one segmentation, in sentences."""

    def __init__(self, labels: LabelSet, name: str, reference: str) -> None:
        self._labels = labels
        self._name = name
        self._reference = reference

    def empty(self) -> str:
        return _('"{name}" is empty: no voxel is {labels}. Send it only if there is no tumor.').format(
            name=self._name, labels=self._names(_(" or "))
        )

    def overlapping(self, voxels: int) -> str:
        strongest_first = reversed(self._labels.by_priority)
        return _("{voxels} voxels belong to several segments. Each is sent as the first of: {labels}.").format(
            voxels=voxels, labels=", ".join(label.name for label in strongest_first)
        )

    def outside(self, voxels: int) -> str:
        return _('{voxels} voxels lie outside "{reference}" and are not sent.').format(
            voxels=voxels, reference=self._reference
        )

    def unknown(self, segment: str) -> str:
        return _(
            'The segment "{segment}" is not one of {labels}, so it is not sent. Rename it if it should be one of them.'
        ).format(segment=segment, labels=self._names(", "))

    def renamed(self, segment: str, label: int, named_like: int) -> str:
        return _(
            'The segment "{segment}" is sent as {label}, which it was created for. If it is {other} now, '
            "copy it into a new segment of that name and delete this one."
        ).format(segment=segment, label=self._name_of(label), other=self._name_of(named_like))

    def duplicates(self, segments: Iterable[tuple[int, str]]) -> Iterator[str]:
        """Labels with several segments; ``segments`` are label values and names."""
        by_label: dict[int, list[str]] = {}
        for label, name in segments:
            by_label.setdefault(label, []).append(f'"{name}"')
        for label, names in by_label.items():
            if len(names) > 1:
                yield _("{segments} all count as {label} and are sent as one. Delete those you do not mean.").format(
                    segments=", ".join(names), label=self._name_of(label)
                )

    def resampled(self, segments: Sequence[str]) -> str:
        return _(
            '{segments}: drawn on another grid than "{reference}". The nearest voxels are sent; '
            "borders may move by half a voxel."
        ).format(segments=", ".join(f'"{name}"' for name in segments), reference=self._reference)

    def without_segment(self, present: Set[int]) -> Iterator[str]:
        """Labels without a segment; ``present`` are the values of those with one."""
        for label in self._labels.labels:
            if label.value not in present:
                yield _("There is no segment for {label}, so none is sent.").format(label=label.name)

    def _names(self, separator: str) -> str:
        return separator.join(label.name for label in self._labels.labels)

    def _name_of(self, value: int) -> str:
        label = self._labels.by_value(value)
        return label.name if label is not None else str(value)
