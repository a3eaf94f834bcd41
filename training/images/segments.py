"""The segments of a ``.seg.nrrd``, as 3D Slicer's ``vtkMRMLSegmentationStorageNode`` writes and reads them.

Each segment has a name and perhaps coded terminology; they decide what it is, never its position or its value.
Segments that do not overlap share a layer and differ in ``LabelValue``. Files from before 2020 have neither layers nor
values: segment n is volume n. ``Extent`` and ``Segmentation_ReferenceImageExtentOffset`` are not needed, since Slicer
shifts the origin of a file that it has cropped.

Segments of different layers may overlap. In Slicer the later one is shown above; here the more specific one wins,
whatever their order: an edema drawn over the whole tumor holds everything else. Where necrotic core, enhancing tumor
and resection cavity overlap by more than a rough edge, nothing says which one is meant, and the file is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from training.errors import InputError
from training.label_names import value_of, value_of_code
from training.label_schemes import known_names
from training.labels import BACKGROUND, ED, ET, NCR

_FIELD = re.compile(r"Segment(\d+)_(?:ID|Name|Layer|LabelValue|Tags)")
#: A name that Slicer gives a new segment.
GENERATED_NAME = re.compile(r"segment[_ ]?\d*", re.IGNORECASE)
#: From the one below to the one above; a cavity is neither enhancing tumor nor core.
_ORDER = (ED.value, NCR.value, ET.value, BACKGROUND)
#: Largest share of the smaller of two segments that may be a rough edge.
_ROUGH_EDGE = 0.1


@dataclass(frozen=True)
class Segment:
    """One segment of a file.

    Attributes:
        name: As shown in Slicer.
        volume: Index of its volume.
        value: Its value there; ``None`` if it is whatever is not 0.
        tags: As in the file, with the terminology.
        generated: Whether the name says nothing.
    """

    name: str
    volume: int
    value: int | None
    tags: str = ""
    generated: bool = False

    def label(self) -> int | None:
        """Return the value of its label, 0 for a cavity; ``None`` if neither name nor terminology says it.

        Beside a name that somebody gave, terminology decides nothing: a copy of a segment keeps it when it is renamed
        "ventricles", and "neoplasm" is the code of a "whole tumor" as well.
        """
        by_name = value_of(self.name)
        return self._by_code() if by_name is None and self.generated else by_name

    def contradiction(self) -> bool:
        """Return whether the name is that of one label, and the terminology that of edema or necrosis instead."""
        by_name, coded = value_of(self.name), self._by_code()
        return by_name is not None and coded in (NCR.value, ED.value) and coded != by_name

    def _by_code(self) -> int | None:
        category_and_type = self.tags.partition("TerminologyEntry:")[2].partition("|")[0].split("~")[1:3]
        code = (category_and_type[1] if len(category_and_type) == 2 else "").split("^")
        return value_of_code(code[0], code[1]) if len(code) == 3 else None

    def mask(self, data: np.ndarray) -> np.ndarray:
        """Return the boolean mask ``(x, y, z)`` of the segment in the volumes ``(x, y, z, volume)`` of its file."""
        plane = data[..., self.volume]
        return plane != 0 if self.value is None else plane == self.value


def segments_of(header: Mapping[str, Any], volumes: int, path: Path) -> list[Segment]:
    """Return the segments of a file in their order; empty for a file that is no segmentation.

    Args:
        header: The fields of the NRRD header.
        volumes: Number of volumes in the file.
        path: For errors.

    Raises:
        InputError: If layers or values are not numbers, or segments cannot be told apart; names the segment.
    """
    fields = [_FIELD.fullmatch(str(name)) for name in header]
    numbers = sorted({int(field[1]) for field in fields if field is not None})
    has_values = [f"Segment{number}_LabelValue" in header for number in numbers]
    found: list[Segment] = []
    for position, number in enumerate(numbers):
        name = str(header.get(f"Segment{number}_Name", header.get(f"Segment{number}_ID", "")))
        layer, value = (_number(header, f"Segment{number}_{what}", path) for what in ("Layer", "LabelValue"))
        if layer is None:  # one volume per segment, or one for all that have their values
            layer = 0 if volumes == 1 and all(has_values) else position
        if layer >= volumes or layer < 0:
            raise InputError(
                f"{path}: the segment {name!r} is said to be in volume {layer + 1}, but there are {volumes}. "
                "Save the segmentation again with 3D Slicer.",
                field="label",
            )
        generated = GENERATED_NAME.fullmatch(name.strip()) is not None or not name.strip()
        generated |= str(header.get(f"Segment{number}_NameAutoGenerated", "0")) == "1"
        found.append(Segment(name, layer, value, str(header.get(f"Segment{number}_Tags", "")), generated))
    _check_values(found, path)
    return found


def merge_segments(segments: list[Segment], data: np.ndarray, voxel_ml: float, path: Path) -> np.ndarray:
    """Merge segments into one labelmap with the values of :mod:`training.labels`.

    Args:
        segments: Of the file.
        data: ``(x, y, z, volume)``.
        voxel_ml: Volume of a voxel.
        path: For errors.

    Returns:
        ``(x, y, z)`` uint8.

    Raises:
        InputError: If a segment that is not empty is none of the labels, or voxels belong to no segment.
    """
    masks = [segment.mask(data) for segment in segments]
    for segment, mask in zip(segments, masks, strict=True):
        if segment.contradiction() and mask.any():
            raise InputError(
                f"{path}: the name of the segment {segment.name!r} says another label than its terminology. "
                "Correct one of them in 3D Slicer.",
                field="label",
            )
    strangers = [
        f"{segment.name!r} ({np.count_nonzero(mask) * voxel_ml:.1f} mL)"
        for segment, mask in zip(segments, masks, strict=True)
        if segment.label() is None and mask.any()
    ]
    if strangers:
        several = len(strangers) > 1
        raise InputError(
            f"{path}: the segment{'s' if several else ''} {', '.join(strangers)} {'are' if several else 'is'} none of "
            f"the labels. Known are {known_names()}. Rename {'them' if several else 'it'}, or save the segmentation "
            "without.",
            field="label",
        )
    _check_left_over(segments, masks, data, path)
    _check_overlap(segments, masks, voxel_ml, path)
    merged = np.zeros(data.shape[:3], np.uint8)
    for value in _ORDER:
        for segment, mask in zip(segments, masks, strict=True):
            if segment.label() == value:
                merged[mask] = value
    return merged


def _number(header: Mapping[str, Any], name: str, path: Path) -> int | None:
    if name not in header:
        return None
    try:
        return int(header[name])
    except ValueError as error:
        raise InputError(f"{path}: {name} is not a whole number.", field="label") from error


def _check_values(segments: list[Segment], path: Path) -> None:
    """Refuse segments of one volume that have the same value, or none."""
    for one, other in combinations(segments, 2):
        if one.volume == other.volume and (one.value == other.value or None in (one.value, other.value)):
            raise InputError(
                f"{path}: the segments {one.name!r} and {other.name!r} cannot be told apart: they share a layer, and "
                "their LabelValue is missing or the same. Save the segmentation again with 3D Slicer.",
                field="label",
            )


def _check_overlap(segments: list[Segment], masks: list[np.ndarray], voxel_ml: float, path: Path) -> None:
    """Refuse core, enhancing tumor and cavity that overlap by more than a rough edge."""
    inner = [(one, mask) for one, mask in zip(segments, masks, strict=True) if one.label() != ED.value]
    for (one, first), (other, second) in combinations(inner, 2):
        if one.label() == other.label() or one.volume == other.volume:
            continue
        overlap = np.count_nonzero(first & second)
        if overlap > _ROUGH_EDGE * min(np.count_nonzero(first), np.count_nonzero(second)):
            raise InputError(
                f"{path}: the segments {one.name!r} and {other.name!r} overlap by {overlap * voxel_ml:.1f} mL, and "
                "nothing says which one is meant there. Remove it from one of them (in 3D Slicer: Logical operators, "
                "Subtract).",
                field="label",
            )


def _check_left_over(segments: list[Segment], masks: list[np.ndarray], data: np.ndarray, path: Path) -> None:
    """Refuse voxels that belong to no segment: what they are is not known."""
    for volume in range(data.shape[3]):
        own = [(segment, mask) for segment, mask in zip(segments, masks, strict=True) if segment.volume == volume]
        left = data[..., volume] != 0
        for segment, mask in own:
            left &= ~mask
            values = np.unique(data[..., volume][mask]) if segment.value is None else ()
            if len(values) > 1:
                raise InputError(
                    f"{path}: the segment {segment.name!r} has no LabelValue, and its volume holds the values "
                    f"{[int(value) for value in values[:5]]}. Save the segmentation again with 3D Slicer.",
                    field="label",
                )
        if left.any():
            value = int(data[..., volume][left][0])
            names = ", ".join(repr(segment.name) for segment in segments)
            raise InputError(
                f"{path}: voxels with the value {value} belong to none of its segments ({names}). Save the "
                "segmentation again with 3D Slicer.",
                field="label",
            )
