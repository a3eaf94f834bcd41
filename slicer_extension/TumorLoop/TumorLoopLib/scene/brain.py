"""The brain mask that the server has cut the volumes to, as an outline that the user may correct. UI thread only.

It is a segmentation with one segment, on the server's grid of 1 mm: the reference's slices may be thick.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import slicer

from TumorLoopLib.i18n import _
from TumorLoopLib.scene import geometry, segments
from TumorLoopLib.scene.labels import Label, LabelSet
from TumorLoopLib.scene.segment_copy import SegmentationCopy

#: Attributes of the segmentation: its grid as it came, JSON of the shape ``(k, j, i)`` and the 4x4 matrix; a digest of
#: its voxels as they came; whether that was a mask that the user had changed.
_GRID, _DIGEST, _EDITED = "TumorLoop.brain", "TumorLoop.brainDigest", "TumorLoop.brainEdited"
_BODY_STRUCTURE = ("SCT", "123037004", "Anatomical Structure")
_LINE_PIXELS = 2


def _labels() -> LabelSet:
    brain = ("SCT", "12738006", "Brain")
    return LabelSet((Label(1, _("brain"), (0.4, 0.9, 0.4), brain, _BODY_STRUCTURE, "brain"),))


def add_brain(
    array: np.ndarray, ijk_to_ras: np.ndarray, reference: Any, name: str, digest: str, *, edited: bool = False
) -> Any:
    """Add a brain mask to the scene, as an outline in the slice views.

    Args:
        array: ``(k, j, i)``, 0 and 1.
        ijk_to_ras: 4x4, voxel index to millimeters in world space.
        reference: The volume that it was found in; the mask gets its parent transform.
        name: Of the new node.
        digest: Of the mask.
        edited: Whether the user had changed it before it was sent.

    Returns:
        The ``vtkMRMLSegmentationNode``.
    """
    node = segments.add_segmentation(array.astype(np.uint8), ijk_to_ras, _labels(), reference, name)
    to_world = geometry.parent_to_world(node)
    local = ijk_to_ras if to_world is None else np.linalg.inv(to_world) @ ijk_to_ras
    node.SetAttribute(_GRID, json.dumps([array.shape, local.tolist()]))
    node.SetAttribute(_DIGEST, digest)
    node.SetAttribute(_EDITED, "1" if edited else None)
    # Effects of the Segment Editor draw on this grid, and not on that of the reference.
    converter = slicer.vtkSegmentationConverter
    extent = [number for side in array.shape[::-1] for number in (0, side - 1)]
    node.GetSegmentation().SetConversionParameter(
        converter.GetReferenceImageGeometryParameterName(),
        converter.SerializeImageGeometry(geometry.matrix_of(local), extent),
    )
    display = node.GetDisplayNode()
    display.SetAllSegmentsVisibility2DFill(False)
    display.SetSliceIntersectionThickness(_LINE_PIXELS)
    display.SetVisibility3D(False)
    return node


def digest_of(node: Any) -> str:
    """Return the digest of a brain mask as it came."""
    return str(node.GetAttribute(_DIGEST) or "")


def was_edited(node: Any) -> bool:
    """Return whether a brain mask was one of the user's when it came."""
    return bool(node.GetAttribute(_EDITED))


def last_change(node: Any) -> int:
    """Return a number that increases when the voxels of a brain mask change."""
    segment = node.GetSegmentation().GetNthSegment(0)
    image = segment.GetRepresentation("Binary labelmap") if segment is not None else None
    return int(image.GetMTime()) if image is not None else 0


def copy_of(node: Any) -> SegmentationCopy:
    """Copy a brain mask on the grid that it came with; ``combine`` makes the array of it in any thread.

    Raises:
        UnusableVolume: If the node is gone, under a nonlinear transform, or made of surfaces.
    """
    shape, local = json.loads(node.GetAttribute(_GRID))
    own = np.array(local, np.float64)
    return segments.extract_on(node, (shape[0], shape[1], shape[2]), own, _labels())
