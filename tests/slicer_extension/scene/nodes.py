"""Labels, volumes and segmentations that the tests share, and edits as a user makes them."""

from typing import Any

import numpy as np
import slicer
import vtk
from TumorLoopLib.scene import geometry, segments
from TumorLoopLib.scene.labels import LabelSet

_ALTERED = {"scheme": "SCT", "value": "49755003", "meaning": "Morphologically Altered Structure"}
_LABELS = (
    ("necrotic core", 1, "NCR", [0, 255, 255], "6574001", "Necrosis"),
    ("peritumoral edema", 2, "ED", [255, 255, 0], "79654002", "Edema"),
    ("enhancing tumor", 3, "ET", [255, 0, 0], "86049000", "Neoplasm, Primary"),
)

#: As a server's ``/info`` has it.
INFO: dict[str, Any] = {
    "label_details": [
        {"name": name, "value": value, "key": key, "color": color, "category": _ALTERED}
        | {"type": {"scheme": "SCT", "value": code, "meaning": meaning}}
        for name, value, key, color, code, meaning in _LABELS
    ],
    "regions": {
        "WT": {"name": "whole tumor", "values": [1, 2, 3]},
        "TC": {"name": "tumor core", "values": [1, 3]},
        "ET": {"name": "enhancing tumor", "values": [3]},
    },
}

LABELS = LabelSet.from_info(INFO)
NCR, ED, ET = "NCR", "ED", "ET"  # ids of the segments that add_segmentation makes

#: (k, j, i): three different sides, so that a swapped axis cannot go unnoticed.
SHAPE = (20, 28, 34)


def oblique(spacing=(0.9, 1.3, 3.1), degrees=(17.0, -23.0, 41.0), origin=(-31.5, 12.25, 7.0)) -> np.ndarray:
    """Return a 4x4 ijk-to-RAS affine with rotated axes and unequal spacing."""
    x, y, z = np.radians(list(degrees))
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_y @ about_x @ np.diag(list(spacing))
    affine[:3, 3] = list(origin)
    return affine


def moved_by(degrees=11.0, shift=(4.0, -7.5, 2.25)) -> np.ndarray:
    return oblique((1.0, 1.0, 1.0), (degrees, -degrees / 2, 2 * degrees), shift)


def image(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    """Return an image ``(k, j, i)`` without any symmetry, int16."""
    return np.random.default_rng(seed).normal(300.0, 80.0, shape).astype(np.int16)


def labelmap(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    """Return a labelmap ``(k, j, i)`` with all labels at places that no flip or swap of axes leaves alone."""
    array = np.zeros(shape, np.uint8)
    k, j, i = (side // 5 for side in shape)
    array[k : 3 * k, j : 4 * j, i : 3 * i] = 2
    array[k + 1 : 2 * k, 2 * j : 3 * j + 1, i + 1 : 2 * i + 3] = 3
    array[k + 1 : k + 3, 2 * j : 2 * j + 2, i + 2 : i + 4] = 1
    array[np.random.default_rng(seed).random(shape) < 0.003] = 3  # single voxels show shifts by one
    return array


def ball(shape: tuple[int, ...], center: tuple[int, int, int], radius: float) -> np.ndarray:
    k, j, i = np.ogrid[tuple(slice(0, side) for side in shape)]
    return np.asarray((k - center[0]) ** 2 + (j - center[1]) ** 2 + (i - center[2]) ** 2 <= radius**2)


def make_volume(name: str = "T1ce", array: np.ndarray | None = None, ijk_to_ras: np.ndarray | None = None) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, image() if array is None else array)
    node.SetIJKToRASMatrix(geometry.matrix_of(oblique() if ijk_to_ras is None else ijk_to_ras))
    return node


def under(node: Any, *moved: Any) -> Any:
    for one in moved:
        one.SetAndObserveTransformNodeID(node.GetID())
    return node


def add_transform(matrix: np.ndarray, *moved: Any) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "registration")
    node.SetMatrixTransformToParent(geometry.matrix_of(matrix))
    return under(node, *moved)


def add_nonlinear(*moved: Any) -> Any:
    """Add a transform that no matrix can express and put nodes under it."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    node.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    return under(node, *moved)


def case(*, transformed: bool = True, array: np.ndarray | None = None) -> tuple[Any, Any]:
    """Add an oblique volume, under a transform, and a segmentation of it; return both."""
    volume = make_volume()
    if transformed:
        add_transform(moved_by(), volume)
    shown = labelmap() if array is None else array
    return volume, segments.add_segmentation(shown, world_of(volume), LABELS, volume, "answer")


def back(segmentation: Any, volume: Any) -> Any:
    return segments.labelmap_of(segmentation, volume, LABELS)


def mask_of(segmentation: Any, segment_id: str, volume: Any) -> np.ndarray:
    """Return a segment's voxels as Slicer's own function has them, ``(k, j, i)`` booleans."""
    return np.asarray(slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume) > 0)


def paint(segmentation: Any, segment_id: str, volume: Any, mask: np.ndarray) -> None:
    """Replace a segment's voxels, as Slicer's editor tools do."""
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), segmentation, segment_id, volume)


def add_segment(segmentation: Any, name: str, volume: Any, mask: np.ndarray | None = None) -> Any:
    """Add a segment as the user does with the Add button; return it."""
    segment_id = segmentation.GetSegmentation().AddEmptySegment("", name)
    if mask is not None:
        paint(segmentation, segment_id, volume, mask)
    return segmentation.GetSegmentation().GetSegment(segment_id)


def erase(segmentation: Any, part: Any) -> None:
    """Erase a part of the first segment's own array, as an effect does: in place."""
    inner = segmentation.GetSegmentation()
    segment_id = inner.GetNthSegmentID(0)
    slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation, segment_id)[part] = 0
    inner.GetSegment(segment_id).GetRepresentation("Binary labelmap").Modified()


def segments_in(segmentation: Any) -> list[Any]:
    inner = segmentation.GetSegmentation()
    return [inner.GetNthSegment(number) for number in range(inner.GetNumberOfSegments())]


def world_of(volume: Any) -> np.ndarray:
    matrix = geometry.world_ijk_to_ras(volume)
    assert matrix is not None
    return matrix


def answer_of(node: Any, volume: Any) -> np.ndarray:
    array = segments.answer_of(node, volume)
    assert array is not None
    return array


def tag_of(segment: Any, name: str) -> str | None:
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else None


def observers_of(observed: Any) -> int:
    """Return how many observers an object has; VTK numbers them as they come."""
    after_all = observed.AddObserver("AnyEvent", print)
    observed.RemoveObserver(after_all)
    return sum(observed.GetCommand(tag) is not None for tag in range(after_all))
