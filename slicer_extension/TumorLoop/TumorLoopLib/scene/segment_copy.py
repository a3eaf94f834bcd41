"""A segmentation taken out of the scene, and the labelmap made of it; plain numpy, for any thread.

:func:`TumorLoopLib.scene.segments.extract` makes the copy on the UI thread; :func:`combine` turns it into one
labelmap on
exactly the reference volume's grid and says in sentences what the user should know before it is sent.

Where segments overlap, the label that lies in more regions wins: enhancing tumor before necrotic core before edema.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from TumorLoopLib.scene import layer_grid, segment_sentences
from TumorLoopLib.scene.boxes import translated
from TumorLoopLib.scene.labels import LabelSet


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
        label: The label value it stands for, 0 if for none.
        layer: Which layer holds its voxels, -1 if none does.
        value: Its value in that layer.
        named_like: The label value whose name it bears although it stands for another one; 0 otherwise.
    """

    name: str
    label: int
    layer: int
    value: int
    named_like: int = 0


@dataclass(frozen=True)
class SegmentationCopy:
    """A whole segmentation with the grid it is wanted on.

    Attributes:
        name: Of the segmentation.
        reference_name: Of the reference volume.
        shape: Voxels of the reference volume, ``(k, j, i)``.
        ijk_to_ras: Where it lies, 4x4 float64, parent transforms included.
        labels: What the labels are.
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
    """A labelmap, and what happened on the way to it.

    Attributes:
        array: ``(k, j, i)`` uint8 on the reference volume's grid, values of the labels.
        ijk_to_ras: 4x4 float64 of that grid, parent transforms included.
        problems: Sentences about what would be lost or changed by sending it; to be confirmed or repaired.
        notices: Sentences about what needs no decision; told when it was sent.
        empty: Whether no voxel has a label.
        overlapping_voxels: How many voxels of the reference belong to segments of different labels.
        outside_voxels: How many voxels of known segments lie outside of the reference volume, and are lost.
        off_grid_voxels: How many voxels of known segments are no voxels of the reference: outside of it, or on
            another grid, from which the nearest ones were taken.
        unknown_segments: Names of segments with voxels that stand for no label; they are not in ``array``.
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
    """Make one labelmap of all segments that stand for a label; see the module for overlaps."""
    ranks = {label.value: rank for rank, label in enumerate(copy.labels.by_priority, start=1)}
    best = np.zeros(copy.shape, np.uint8)
    contested: np.ndarray | None = None
    tally = _Tally([0] * len(copy.segments))
    for number, layer in enumerate(copy.layers):
        array, to_reference = layer_grid.cut(layer.array, layer.to_reference)
        here = [position for position, segment in enumerate(copy.segments) if segment.layer == number]
        for position in here:
            tally.voxels[position] = int(np.count_nonzero(array == copy.segments[position].value))
        wanted = {copy.segments[at].value: ranks.get(copy.segments[at].label, 0) for at in here}
        placed = layer_grid.place(translated(array, wanted), to_reference, copy.shape)
        tally.place(placed, here, copy.segments)
        target = best[placed.box]
        clash = (target > 0) & (placed.array > 0) & (target != placed.array)
        if clash.any():
            contested = np.zeros(copy.shape, bool) if contested is None else contested
            contested[placed.box] |= clash
        np.maximum(target, placed.array, out=target)
    array = translated(best, {rank: value for value, rank in ranks.items()})
    return _report(copy, array, tally, 0 if contested is None else int(np.count_nonzero(contested)))


@dataclass
class _Tally:
    """What is counted while segments are combined.

    Attributes:
        voxels: Of each segment, by its position: names may be doubled.
        resampled: Positions of the segments with a label that lie on another grid.
        outside: Voxels outside of the reference.
        off_grid: Those, and all voxels of the resampled segments.
    """

    voxels: list[int]
    resampled: list[int] = field(default_factory=list)
    outside: int = 0
    off_grid: int = 0

    def place(self, placed: layer_grid.Placed, positions: list[int], segments: list[SegmentCopy]) -> None:
        """Count what became of the segments of one layer."""
        self.outside += placed.outside
        if placed.on_grid:
            self.off_grid += placed.outside
            return
        moved = [position for position in positions if segments[position].label and self.voxels[position]]
        self.resampled += moved
        self.off_grid += sum(self.voxels[position] for position in moved)


def _report(copy: SegmentationCopy, array: np.ndarray, tally: _Tally, overlapping: int) -> SegmentationReport:
    drawn = [segment for segment, voxels in zip(copy.segments, tally.voxels) if voxels]
    unknown = [segment.name for segment in drawn if not segment.label]
    empty = not array.any()
    say = segment_sentences.Sentences(copy.labels, copy.name, copy.reference_name)
    problems = [
        *([say.empty()] if empty else []),
        *([say.overlapping(overlapping)] if overlapping else []),
        *([say.outside(tally.outside)] if tally.outside else []),
        *(say.unknown(name) for name in unknown),
        *(say.named_otherwise(one.name, one.label, one.named_like) for one in drawn if one.named_like),
        *say.doubled((segment.label, segment.name) for segment in drawn if segment.label),
    ]
    notices = [
        *([say.resampled([copy.segments[at].name for at in tally.resampled])] if tally.resampled else []),
        *say.without_segment({segment.label for segment in copy.segments}),
    ]
    return SegmentationReport(
        array=array,
        ijk_to_ras=copy.ijk_to_ras,
        problems=problems,
        notices=notices,
        empty=empty,
        overlapping_voxels=overlapping,
        outside_voxels=tally.outside,
        off_grid_voxels=tally.off_grid,
        unknown_segments=unknown,
    )
