"""The harness's Segment Editor works on real nodes and refuses what Slicer would ignore."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def _editor() -> tuple[Any, Any, Any]:
    """An editor on a segmentation with one segment, and its source volume."""
    import slicer

    volume = slicer.util.addVolumeFromArray(np.zeros((3, 4, 5)), name="FLAIR")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Tumor")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.GetSegmentation().AddEmptySegment("a", "Edema")
    editor = slicer.qMRMLSegmentEditorWidget()
    editor.setMRMLScene(slicer.mrmlScene)
    editor.setMRMLSegmentEditorNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode"))
    editor.setSegmentationNode(segmentation)
    editor.setSourceVolumeNode(volume)
    return editor, segmentation, volume


def _paint(segmentation: Any, volume: Any, value: int) -> None:
    import slicer

    array = np.full((3, 4, 5), value, np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, segmentation, "a", volume)


def _painted(segmentation: Any, volume: Any) -> int:
    import slicer

    return int(slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "a", volume).sum())


def test_the_segment_editor_undoes_and_redoes_on_the_real_segmentation(desktop: Any) -> None:
    editor, segmentation, volume = _editor()
    _paint(segmentation, volume, 1)
    editor.saveStateForUndo()
    _paint(segmentation, volume, 0)

    editor.undo()
    assert _painted(segmentation, volume) == 60
    editor.redo()
    assert _painted(segmentation, volume) == 0


def test_the_segment_editor_keeps_its_selection_in_its_node(desktop: Any) -> None:
    editor, segmentation, volume = _editor()
    chosen: list[str] = []
    editor.connect("currentSegmentIDChanged(QString)", chosen.append)

    editor.setCurrentSegmentID("a")
    editor.setActiveEffectByName("Paint")

    node = editor.mrmlSegmentEditorNode()
    assert (node.GetSegmentationNode(), node.GetSourceVolumeNode()) == (segmentation, volume)
    assert (node.GetSelectedSegmentID(), node.GetActiveEffectName()) == ("a", "Paint")
    assert editor.activeEffect().name == "Paint"
    assert chosen == ["a"]
    editor.setActiveEffect(None)
    assert editor.activeEffect() is None


def test_the_segment_editor_refuses_what_slicer_would_ignore(desktop: Any) -> None:
    import slicer

    editor, segmentation, volume = _editor()
    with pytest.raises(ValueError, match="no effect 'Pant'"):
        editor.setActiveEffectByName("Pant")
    with pytest.raises(TypeError, match="vtkMRMLSegmentationNode"):
        editor.setSegmentationNode(volume)
    with pytest.raises(TypeError, match="vtkMRMLScalarVolumeNode"):
        editor.setSourceVolumeNode(segmentation)
    with pytest.raises(AttributeError):
        editor.setMasterVolumeNode(volume)
    editor.setSegmentationNode(None)
    with pytest.raises(RuntimeError, match="setSegmentationNode first"):
        editor.setSourceVolumeNode(volume)
    with pytest.raises(RuntimeError, match="setMRMLSegmentEditorNode first"):
        slicer.qMRMLSegmentEditorWidget().setSegmentationNode(segmentation)


def test_the_segment_editor_loses_its_node_with_the_scene(desktop: Any) -> None:
    import slicer

    editor, _, _ = _editor()

    slicer.mrmlScene.Clear(0)

    assert editor.mrmlSegmentEditorNode() is None
    assert editor.segmentationNode() is None


def test_the_segment_editor_lists_the_segments(desktop: Any) -> None:
    from tests.slicer_extension.harness.standin import state

    editor, segmentation, _ = _editor()
    segmentation.GetSegmentation().AddEmptySegment("b", "Necrosis")
    segmentation.GetSegmentation().GetSegment("a").SetName("Swelling")

    table = state(editor)["parts"]["table"]
    assert [table.item(row, 0).text() for row in range(table.rowCount)] == ["Swelling", "Necrosis"]
    segmentation.GetSegmentation().RemoveSegment("a")
    assert table.rowCount == 1


def test_undo_can_be_limited(desktop: Any) -> None:
    editor, segmentation, volume = _editor()
    editor.setMaximumNumberOfUndoStates(2)
    for value in (1, 0, 1, 0):
        _paint(segmentation, volume, value)
        editor.saveStateForUndo()

    assert editor.maximumNumberOfUndoStates == 2
