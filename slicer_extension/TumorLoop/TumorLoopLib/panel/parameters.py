"""What the panel stores in the scene: saving and loading a scene restores all of it. UI thread only.

Slicer evaluates the annotations of this class at run time, on Python 3.9 as well, so there is no
``from __future__ import annotations`` here. A node field is ``None`` if no node is selected.
"""

from typing import Annotated, Any, Callable

from slicer import vtkMRMLLabelMapVolumeNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class TumorLoopParameters:
    """One case in the panel.

    Attributes:
        t1: The volume without contrast.
        t1ce: The volume with contrast, on whose grid segmentations are made.
        t2: The T2 volume.
        flair: The FLAIR volume.
        segmentation: What is corrected and submitted.
        answer: The model's segmentation, unchanged, to compare with.
        uncertainty: The model's uncertainty map.
        brain: The brain mask that volumes as they were scanned were cut to; see :mod:`TumorLoopLib.scene.brain`.
        as_scanned: What the user said about the volumes: "yes", "no", or nothing.
        case_id: Name of the case on the server; empty before it has one.
        model_version: The model that made the segmentation.
        answer_time: When it did, as the server said; empty if the server did not.
        active_seconds: Spent working on it, without pauses.
        comment: For the label's history.
        label_set: The labels of the segmentation, JSON of :class:`TumorLoopLib.scene.labels.LabelSet`; empty if none.
        final: Whether the next submission is final, or a draft.
        epochs: To train at most; 0 for the server's default.
    """

    t1: vtkMRMLScalarVolumeNode
    t1ce: vtkMRMLScalarVolumeNode
    t2: vtkMRMLScalarVolumeNode
    flair: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    answer: vtkMRMLLabelMapVolumeNode
    uncertainty: vtkMRMLScalarVolumeNode
    brain: vtkMRMLSegmentationNode
    as_scanned: str
    case_id: str
    model_version: str
    answer_time: str
    active_seconds: int
    comment: str
    label_set: str
    final: bool = True
    epochs: Annotated[int, WithinRange(0, 1000)] = 0


class ParametersOfScene:
    """Returns the parameters of the present scene, one object per node.

    A node keeps every :class:`TumorLoopParameters` that was made for it, and calls all of them at every change. Closing
    a scene does not remove the node, so a new object per case would slow the panel down from case to case.

    Args:
        node: Returns the parameter node of the present scene.
    """

    def __init__(self, node: Callable[[], Any]) -> None:
        self._node = node
        self._known: Any = None

    def __call__(self) -> TumorLoopParameters:
        """Return the parameters."""
        node = self._node()
        if self._known is None or self._known.parameterNode is not node:
            self._known = TumorLoopParameters(node)  # type: ignore[call-arg]  # the decorator gives it its constructor
        known: TumorLoopParameters = self._known
        return known
