"""What a user should know about a segmentation before it is sent, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set

from TumorLoopLib.i18n import _
from TumorLoopLib.scene.labels import LabelSet


class Sentences:
    """Speaks about one segmentation.

    Args:
        labels: What the labels are called.
        name: Of the segmentation.
        reference: Name of the volume on whose grid it is sent.
    """

    def __init__(self, labels: LabelSet, name: str, reference: str) -> None:
        self._labels = labels
        self._name = name
        self._reference = reference

    def empty(self) -> str:
        """No voxel has a label."""
        return _('"{name}" is empty: no voxel is {labels}. Send it only if there is no tumor.').format(
            name=self._name, labels=self._names(_(" or "))
        )

    def overlapping(self, voxels: int) -> str:
        """Segments of different labels overlap."""
        strongest_first = reversed(self._labels.by_priority)
        return _("{voxels} voxels belong to several segments. Each is sent as the first of: {labels}.").format(
            voxels=voxels, labels=", ".join(label.name for label in strongest_first)
        )

    def outside(self, voxels: int) -> str:
        """Voxels lie where the reference volume has none."""
        return _('{voxels} voxels lie outside of "{reference}" and are not sent.').format(
            voxels=voxels, reference=self._reference
        )

    def unknown(self, segment: str) -> str:
        """A segment stands for no label."""
        return _(
            'The segment "{segment}" is none of {labels} and is not sent. Rename it to one of them if it is one.'
        ).format(segment=segment, labels=self._names(", "))

    def named_otherwise(self, segment: str, label: int, named_like: int) -> str:
        """A segment was made for one label and bears the name of another one."""
        return _(
            'The segment "{segment}" is sent as {label}, which it was made for. If it is {other} now, '
            "copy it into a new segment of that name and delete this one."
        ).format(segment=segment, label=self._name_of(label), other=self._name_of(named_like))

    def doubled(self, segments: Iterable[tuple[int, str]]) -> Iterator[str]:
        """Several segments stand for one label; ``segments`` are label values and names."""
        by_label: dict[int, list[str]] = {}
        for label, name in segments:
            by_label.setdefault(label, []).append(f'"{name}"')
        for label, names in by_label.items():
            if len(names) > 1:
                yield _("{segments} all count as {label} and are sent as one. Delete those you do not mean.").format(
                    segments=", ".join(names), label=self._name_of(label)
                )

    def resampled(self, segments: Sequence[str]) -> str:
        """Segments lie on another grid."""
        return _(
            '{segments}: drawn on another grid than "{reference}". The nearest voxels are sent; '
            "borders may move by half a voxel."
        ).format(segments=", ".join(f'"{name}"' for name in segments), reference=self._reference)

    def without_segment(self, present: Set[int]) -> Iterator[str]:
        """Labels that no segment stands for; ``present`` are the values of those with one."""
        for label in self._labels.labels:
            if label.value not in present:
                yield _("There is no segment for {label}; it is sent without any.").format(label=label.name)

    def _names(self, separator: str) -> str:
        return separator.join(label.name for label in self._labels.labels)

    def _name_of(self, value: int) -> str:
        label = self._labels.by_value(value)
        return label.name if label is not None else str(value)
