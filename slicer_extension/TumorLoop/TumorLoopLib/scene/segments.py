"""Labelmaps as segmentations of 3D Slicer, and back. UI thread only.

The label value of a segment is kept in a tag, because nothing else is stable: Slicer's export functions renumber
segments, its color table is matched by names that users change, and a ``.seg.nrrd`` file renumbers after edits. So no
export or import function of Slicer is used here; voxels are copied array by array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from TumorLoopLib.client.errors import BadReply
from TumorLoopLib.i18n import _
from TumorLoopLib.scene import geometry
from TumorLoopLib.scene.bounding_box import EMPTY_BOX, bounding_box
from TumorLoopLib.scene.labels import Label, LabelSet
from TumorLoopLib.scene.segment_copy import LayerCopy, SegmentationCopy, SegmentationReport, SegmentCopy, combine
from TumorLoopLib.scene.volumes import UnusableVolume, nonlinear_transform

#: The segment tag that holds the label value.
LABEL_TAG = "TumorLoop.label"

_LABELMAP = "Binary labelmap"


def add_segmentation(array: np.ndarray, ijk_to_ras: np.ndarray, labels: LabelSet, reference: Any, name: str) -> Any:
    """Add a labelmap to the scene as a new segmentation, one segment per label, empty ones included.

    Args:
        array: ``(k, j, i)`` of integers, 0 or values of ``labels``.
        ijk_to_ras: 4x4, voxel index to millimeters in world space.
        labels: The labels.
        reference: The volume it belongs to; the segmentation gets its geometry and its parent transform.
        name: Of the new node; a number is appended if the scene has that name already.

    Returns:
        The ``vtkMRMLSegmentationNode``. No other node is changed. The scene's undo, if it is enabled, takes it back.

    Raises:
        BadReply: If the labelmap contains a value without a label.
        UnusableVolume: If the reference is gone or under a nonlinear transform.
    """
    _refuse_unknown_values(array, labels)
    to_world = _parent_of_reference(reference)
    slicer.mrmlScene.SaveStateForUndo()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.CreateDefaultDisplayNodes()
    for added in (node, node.GetDisplayNode()):
        added.SetUndoEnabled(True)
    # The transform comes first: Slicer stores the reference's grid relative to the segmentation, and resamples to that
    # grid on saving, so the other order would save a segmentation turned by the transform.
    node.SetAndObserveTransformNodeID(reference.GetTransformNodeID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    segmentation = node.GetSegmentation()
    segmentation.SetSourceRepresentationName(_LABELMAP)
    # One image for all segments, as Slicer itself does for segments that do not overlap.
    image = _oriented_image(array, np.linalg.inv(to_world) @ ijk_to_ras)
    for label in labels.labels:
        segmentation.AddSegment(_segment(label, image), label.key)
    return node


def keep_answer(array: np.ndarray, ijk_to_ras: np.ndarray, reference: Any, name: str) -> Any:
    """Keep the model's segmentation in the scene as it arrived, for comparison with corrections; saved with the scene.

    It is not hidden from editors, because Slicer's Save dialog skips hidden nodes and it would be lost, but it is left
    out of the Data module's tree.

    Args:
        array: uint8 labels, ``(k, j, i)``.
        ijk_to_ras: 4x4, voxel index to millimeters in world space.
        reference: The volume it belongs to; it gets the same parent transform.
        name: Of its segmentation.

    Returns:
        The ``vtkMRMLLabelMapVolumeNode``, which no view shows.
    """
    to_world = _parent_of_reference(reference)
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLLabelMapVolumeNode")
    node.UnRegister(None)  # the scene keeps it
    node.SetName(slicer.mrmlScene.GenerateUniqueName(_("Model result of {name}").format(name=name)))
    node.SetAttribute(slicer.vtkMRMLSubjectHierarchyConstants.GetSubjectHierarchyExcludeFromTreeAttributeName(), "1")
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(array, np.uint8))
    node.SetIJKToRASMatrix(geometry.matrix_of(np.linalg.inv(to_world) @ ijk_to_ras))
    node = slicer.mrmlScene.AddNode(node)
    node.SetAndObserveTransformNodeID(reference.GetTransformNodeID())
    return node


def answer_of(node: Any, reference: Any) -> np.ndarray | None:
    """Return a copy of a kept segmentation, for a worker thread.

    Args:
        node: From :func:`keep_answer`, or ``None``.
        reference: The volume whose grid it must have.

    Returns:
        uint8 ``(k, j, i)``; ``None`` if there is none, or it has another grid.
    """
    if not geometry.in_scene(node) or geometry.shape_kji(node) != geometry.shape_kji(reference):
        return None
    own, required = geometry.world_ijk_to_ras(node), geometry.world_ijk_to_ras(reference)
    if own is None or required is None or not np.allclose(own, required, atol=1e-3):
        return None
    return np.array(slicer.util.arrayFromVolume(node), np.uint8, copy=True)


def labelmap_of(segmentation: Any, reference: Any, labels: LabelSet) -> SegmentationReport:
    """Convert a segmentation to one labelmap on a reference volume's grid: :func:`extract`, then ``combine``."""
    return combine(extract(segmentation, reference, labels))


def extract(segmentation: Any, reference: Any, labels: LabelSet) -> SegmentationCopy:
    """Copy a segmentation's voxels and labels, to be combined in any thread.

    Args:
        segmentation: A ``vtkMRMLSegmentationNode`` of the scene.
        reference: The volume whose grid the labelmap should have.
        labels: The labels. A segment has the label of its tag; without a tag, the one with its name or its code.

    Raises:
        UnusableVolume: If a node is gone or under a nonlinear transform, or the segments are surfaces.
    """
    segments_to_world = _segments_to_world(segmentation)
    reference_to_world = _parent_of_reference(reference) @ geometry.local_ijk_to_ras(reference)
    to_reference = np.linalg.inv(reference_to_world) @ segments_to_world
    layers, segments = _copied(segmentation.GetSegmentation(), to_reference, labels)
    return SegmentationCopy(
        name=segmentation.GetName() or "",
        reference_name=reference.GetName() or "",
        shape=geometry.shape_kji(reference),
        ijk_to_ras=reference_to_world,
        labels=labels,
        layers=layers,
        segments=segments,
    )


def extract_on(
    segmentation: Any, shape: tuple[int, int, int], matrix: np.ndarray, labels: LabelSet
) -> SegmentationCopy:
    """Do as :func:`extract`, but for a labelmap on a grid of the segmentation's own.

    Args:
        segmentation: A ``vtkMRMLSegmentationNode`` of the scene.
        shape: Of the labelmap, ``(k, j, i)``.
        matrix: 4x4, from its voxel index to millimeters in the segmentation's space, without parent transforms.
        labels: The labels.
    """
    to_world = _segments_to_world(segmentation)
    layers, segments = _copied(segmentation.GetSegmentation(), np.linalg.inv(matrix), labels)
    name = segmentation.GetName() or ""
    return SegmentationCopy(name, name, shape, to_world @ matrix, labels, layers, segments)


def only_labels(segmentation: Any) -> bool:
    """Return whether every segment was created for a label, so that all of it is in the labelmap that was submitted."""
    inner = segmentation.GetSegmentation()
    return all(_tag(inner.GetNthSegment(number), LABEL_TAG) for number in range(inner.GetNumberOfSegments()))


def label_of(segment: Any, labels: LabelSet) -> Label | None:
    """Return the label of a ``vtkSegment``: by tag, else by name, else by code; ``None`` without one."""
    tag = _tag(segment, LABEL_TAG)
    tagged = labels.by_value(int(tag)) if tag.isdigit() else None
    code = _tag(segment, segment.GetTerminologyEntryTagName())
    return tagged or labels.by_name(segment.GetName() or "") or labels.by_terminology(code)


def _copied(segmentation: Any, to_reference: np.ndarray, labels: LabelSet) -> tuple[list[LayerCopy], list[SegmentCopy]]:
    """Copy each shared image once, and describe the segments that use it."""
    layers: list[LayerCopy] = []
    segments: list[SegmentCopy] = []
    number_of: dict[Any, int] = {}
    for position in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(position)
        image = segment.GetRepresentation(_LABELMAP)
        drawn = image is not None and not image.IsEmpty()
        number = number_of.setdefault(image, len(layers)) if drawn else -1
        if number == len(layers):
            layers.append(_layer(image, to_reference))
        segments.append(_described(segment, number, labels))
    return layers, segments


def _described(segment: Any, layer: int, labels: LabelSet) -> SegmentCopy:
    name = segment.GetName() or ""
    label, named = label_of(segment, labels), labels.by_name(name)
    return SegmentCopy(
        name=name,
        label=label.value if label is not None else 0,
        layer=layer,
        value=segment.GetLabelValue(),
        named_like=named.value if named is not None and named is not label else 0,
    )


def _layer(image: Any, to_reference: np.ndarray) -> LayerCopy:
    i, _i, j, _j, k, _k = image.GetExtent()
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    first = np.eye(4)
    first[:3, 3] = i, j, k
    columns, rows, slabs = image.GetDimensions()
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(slabs, rows, columns)
    return LayerCopy(np.array(voxels, copy=True), to_reference @ geometry.array_of(matrix) @ first)


def _segment(label: Label, image: Any) -> Any:
    segment = slicer.vtkSegment()
    segment.SetName(label.name)
    segment.SetColor(*label.color)
    # Otherwise Slicer may overwrite both when the user picks another code.
    segment.SetNameAutoGenerated(False)
    segment.SetColorAutoGenerated(False)
    segment.SetTag(LABEL_TAG, str(label.value))
    segment.SetTag(segment.GetTerminologyEntryTagName(), label.terminology_entry)
    segment.SetLabelValue(label.value)
    segment.AddRepresentation(_LABELMAP, image)
    return segment


def _oriented_image(array: np.ndarray, ijk_to_ras: np.ndarray) -> Any:
    """Return the nonzero part of a labelmap as ``vtkOrientedImageData`` in the segmentation's space."""
    box = bounding_box(array)
    if box == EMPTY_BOX:
        box = (slice(0, 1), slice(0, 1), slice(0, 1))  # Slicer does not take an image without voxels
    part = np.ascontiguousarray(array[box], np.uint8)
    scalars = numpy_to_vtk(part.reshape(-1), deep=True, array_type=vtk.VTK_UNSIGNED_CHAR)
    scalars.SetName("ImageScalars")
    image = slicer.vtkOrientedImageData()
    image.SetExtent(*(number for side in reversed(box) for number in (side.start, side.stop - 1)))
    image.SetImageToWorldMatrix(geometry.matrix_of(ijk_to_ras))
    image.GetPointData().SetScalars(scalars)
    return image


def _tag(segment: Any, name: str) -> str:
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else ""


def _refuse_unknown_values(array: np.ndarray, labels: LabelSet) -> None:
    part = array[bounding_box(array)]
    known = {0, *(label.value for label in labels.labels)}
    unknown = sorted(int(value) for value in np.unique(part) if value not in known)
    if unknown:
        raise BadReply(
            _("This labelmap contains values without a label: {values}. It is not from this server.").format(
                values=", ".join(str(value) for value in unknown[:5])
            )
        )


def _refuse_surfaces(segmentation: Any) -> None:
    inner = segmentation.GetSegmentation()
    if inner.GetNumberOfSegments() and inner.GetSourceRepresentationName() != _LABELMAP:
        raise UnusableVolume(
            _(
                '"{name}" consists of surfaces, not of voxels. In the Segmentations module, under Representations, '
                'click "Make source" beside "Binary labelmap".'
            ).format(name=segmentation.GetName())
        )


def _segments_to_world(segmentation: Any) -> np.ndarray:
    if not geometry.in_scene(segmentation):
        raise UnusableVolume(_("No segmentation is chosen."))
    to_world = geometry.parent_to_world(segmentation)
    if to_world is None:
        raise UnusableVolume(nonlinear_transform(segmentation))
    _refuse_surfaces(segmentation)
    return to_world


def _parent_of_reference(reference: Any) -> np.ndarray:
    if not geometry.in_scene(reference) or reference.GetImageData() is None:
        raise UnusableVolume(_("The volume of this segmentation is no longer there. Choose the volumes again."))
    to_world = geometry.parent_to_world(reference)
    if to_world is None:
        raise UnusableVolume(nonlinear_transform(reference))
    return to_world
