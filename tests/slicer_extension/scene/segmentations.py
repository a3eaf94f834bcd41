"""What the tests of segmentations share: a shown labelmap, edits as a user makes them, and what is expected back."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from TumorLoopLib.scene import geometry, segments

from tests.slicer_extension.scene.nodes import LABELS, add_transform, labelmap, make_volume, moved_by, oblique

NCR, ED, ET = "NCR", "ED", "ET"  # ids of the segments that add_segmentation makes


def case(*, transformed: bool = True, array: np.ndarray | None = None) -> tuple[Any, Any]:
    """Add an oblique volume, under a transform, and a segmentation of it; return both."""
    volume = make_volume()
    world = oblique()
    if transformed:
        add_transform(moved_by(), volume)
        world = moved_by() @ world
    shown = labelmap() if array is None else array
    return volume, segments.add_segmentation(shown, world, LABELS, volume, "answer")


def back(segmentation: Any, volume: Any) -> Any:
    """Return the report of the segmentation on the volume's grid."""
    return segments.labelmap_of(segmentation, volume, LABELS)


def mask_of(segmentation: Any, segment_id: str, volume: Any) -> np.ndarray:
    """Return a segment's voxels as Slicer's own function has them, ``(k, j, i)`` booleans."""
    mask: np.ndarray = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume) > 0
    return mask


def paint(segmentation: Any, segment_id: str, volume: Any, mask: np.ndarray) -> None:
    """Replace a segment's voxels, as Slicer's editor tools do."""
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), segmentation, segment_id, volume)


def add_segment(segmentation: Any, name: str, volume: Any, mask: np.ndarray | None = None) -> str:
    """Add a segment as the user does with the Add button; return its id."""
    segment_id: str = segmentation.GetSegmentation().AddEmptySegment("", name)
    if mask is not None:
        paint(segmentation, segment_id, volume, mask)
    return segment_id


def world_of(volume: Any) -> np.ndarray:
    """Return where a volume lies in the world, 4x4."""
    matrix = geometry.world_ijk_to_ras(volume)
    assert matrix is not None
    return matrix


def answer_of(node: Any, volume: Any) -> np.ndarray:
    """Return the answer that a node keeps for a volume."""
    array = segments.answer_of(node, volume)
    assert array is not None
    return array


def tag_of(segment: Any, name: str) -> str | None:
    """Return a tag of a segment, ``None`` without."""
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else None


def ball(shape: tuple[int, ...], center: tuple[int, int, int], radius: float) -> np.ndarray:
    """Return a ball of voxels, booleans ``(k, j, i)``."""
    k, j, i = np.ogrid[tuple(slice(0, side) for side in shape)]
    away = (k - center[0]) ** 2 + (j - center[1]) ** 2 + (i - center[2]) ** 2
    inside: np.ndarray = away <= radius**2
    return inside
