"""What the panel keeps in the scene, so that saving and loading a scene brings all of it back. UI thread only.

Slicer reads the annotations of this class when it is defined, on Python 3.9 as well: so there is no
``from __future__ import annotations`` here. A field for a node is ``None`` as long as no node is chosen.
"""

from typing import Annotated

from slicer import vtkMRMLLabelMapVolumeNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class TumorLoopParameters:
    """One case on its way through the panel.

    Attributes:
        t1: The volume without contrast.
        t1ce: The volume with contrast, on whose grid segmentations are made.
        t2: The T2 volume.
        flair: The FLAIR volume.
        segmentation: What is corrected and submitted.
        answer: The model's answer as it arrived, to compare with.
        uncertainty: The model's map of where it is unsure.
        case_id: Name of the case on the server; empty before it has one.
        model_version: Which model gave the answer.
        comment: For the label's history.
        label_set: The labels of the segmentation, as JSON of :class:`TumorLoopLib.scene.labels.LabelSet`; empty before.
        final: Whether the next submission is final, or a draft.
        epochs: How long to train at most; 0 leaves it to the server.
    """

    t1: vtkMRMLScalarVolumeNode
    t1ce: vtkMRMLScalarVolumeNode
    t2: vtkMRMLScalarVolumeNode
    flair: vtkMRMLScalarVolumeNode
    segmentation: vtkMRMLSegmentationNode
    answer: vtkMRMLLabelMapVolumeNode
    uncertainty: vtkMRMLScalarVolumeNode
    case_id: str
    model_version: str
    comment: str
    label_set: str
    final: bool = True
    epochs: Annotated[int, WithinRange(0, 1000)] = 0
