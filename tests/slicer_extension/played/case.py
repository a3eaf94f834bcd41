"""The case in the scene, and what Slicer's own functions say of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk

from tests.slicer_extension.played.server import LEVELS

SHAPE = (18, 20, 24)
NAMES = {"t1": "AX T1", "t1ce": "AX T1 POST GD", "t2": "AX T2", "flair": "SAG FLAIR"}
#: Seconds that anything at a played server may take on a busy machine.
SECONDS = 20.0


def world(node: Any) -> np.ndarray:
    """Return a volume's ijk to RAS in the world, as Slicer computes it: from where four voxels lie."""
    matrix = slicer.util.arrayFromVTKMatrix(_local(node))
    parent = np.eye(4)
    if node.GetParentTransformNode() is not None:
        vtk_matrix = _local(node)
        node.GetParentTransformNode().GetMatrixTransformToWorld(vtk_matrix)
        parent = slicer.util.arrayFromVTKMatrix(vtk_matrix)
    return parent @ matrix


def _local(node: Any) -> Any:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


def expected_labels(case: dict[str, Any]) -> np.ndarray:
    """Return what the played server makes of the case, ``(k, j, i)``."""
    return np.digitize(slicer.util.arrayFromVolume(case["t1ce"]), LEVELS).astype(np.uint8)


def labels_of(segmentation: Any, reference: Any) -> np.ndarray:
    """Read a segmentation with Slicer's own function, segment by segment, by the order of the labels."""
    labels = np.zeros(SHAPE, np.uint8)
    inner = segmentation.GetSegmentation()
    for number in range(inner.GetNumberOfSegments()):
        segment_id = inner.GetNthSegmentID(number)
        labels[slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, reference) > 0] = number + 1
    return labels
