import numpy as np
import pytest
import slicer
from TumorLoopLib.client.errors import BadReply
from TumorLoopLib.scene import geometry, segments
from TumorLoopLib.scene.volumes import UnusableVolume

from tests.slicer_extension.scene import nodes
from tests.slicer_extension.scene.nodes import LABELS, SHAPE, back, case, labelmap, make_volume, oblique, segments_in

pytestmark = pytest.mark.usefixtures("scene")


def test_segments_have_the_names_colors_and_codes_of_the_labels_and_voxels_and_transform_of_the_reference():
    volume, node = case()
    found = [(one.GetName(), one.GetColor(), nodes.tag_of(one, segments.LABEL_TAG)) for one in segments_in(node)]
    assert found == [
        ("necrotic core", (0.0, 1.0, 1.0), "1"),
        ("peritumoral edema", (1.0, 1.0, 0.0), "2"),
        ("enhancing tumor", (1.0, 0.0, 0.0), "3"),
    ]
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    for segment, label in zip(segments_in(node), LABELS.labels, strict=True):
        text = nodes.tag_of(segment, slicer.vtkSegment.GetTerminologyEntryTagName())
        entry = slicer.vtkSlicerTerminologyEntry()
        assert logic.DeserializeTerminologyEntry(text, entry)
        kind = entry.GetTypeObject()
        assert (kind.GetCodingSchemeDesignator(), kind.GetCodeValue(), kind.GetCodeMeaning()) == label.code
        assert entry.GetCategoryObject().GetCodeValue() == "49755003"
        assert logic.SerializeTerminologyEntry(entry) == text
        assert np.array_equal(nodes.mask_of(node, label.key, volume), labelmap() == label.value)
    assert node.GetTransformNodeID() == volume.GetTransformNodeID() is not None
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is volume
    assert node.GetDisplayNode() is not None


def test_a_labelmap_on_another_grid_is_shown_where_it_lies_in_the_world():
    coarse = oblique((3.0, 3.0, 3.0), (0.0, 0.0, 0.0))
    node = segments.add_segmentation(labelmap((12, 13, 14)), coarse, LABELS, make_volume(), "older")
    matrix = geometry.matrix_of(np.eye(4))
    segments_in(node)[0].GetRepresentation("Binary labelmap").GetImageToWorldMatrix(matrix)
    assert np.allclose(geometry.array_of(matrix), coarse)


def test_an_empty_labelmap_gives_segments_to_paint_into():
    volume, node = case(array=np.zeros(SHAPE, np.uint8))
    assert [one.GetName() for one in segments_in(node)] == [label.name for label in LABELS.labels]
    assert back(node, volume).empty


def test_a_manual_segmentation_is_never_touched_and_a_new_one_is_undone_by_the_scene():
    slicer.mrmlScene.SetUndoOn()
    volume, first = case()
    names = [one.GetName() for one in segments_in(first)]
    other = nodes.ball(SHAPE, (6, 6, 6), 2).astype(np.uint8)
    second = segments.add_segmentation(other, nodes.world_of(volume), LABELS, volume, "answer")
    assert second is not first
    assert second.GetName() != first.GetName() == "answer"
    assert np.array_equal(back(first, volume).array, labelmap())
    assert [one.GetName() for one in segments_in(first)] == names
    assert np.array_equal(back(second, volume).array, other)
    second_name = second.GetName()
    slicer.mrmlScene.Undo()
    assert slicer.mrmlScene.GetFirstNodeByName(second_name) is None
    assert first.GetScene() is slicer.mrmlScene
    assert np.array_equal(back(first, volume).array, labelmap())


def test_what_cannot_be_shown_is_refused_and_leaves_nothing_behind():
    volume, odd = make_volume(), labelmap()
    odd[0, 0, 0], odd[0, 0, 1] = 9, 4
    count = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(BadReply, match=r"values without a label: 4, 9\."):
        segments.add_segmentation(odd, oblique(), LABELS, volume, "odd")
    assert slicer.mrmlScene.GetNumberOfNodes() == count
    for spoil, words in ((nodes.add_nonlinear, "nonlinear"), (slicer.mrmlScene.RemoveNode, "no longer there")):
        spoil(volume)
        with pytest.raises(UnusableVolume, match=words):
            segments.add_segmentation(labelmap(), oblique(), LABELS, volume, "a")


def test_the_answer_is_kept_as_it_came_and_stays_with_its_volume():
    volume, node = case()
    kept = segments.keep_answer(labelmap(), nodes.world_of(volume), volume, node.GetName())
    assert not kept.GetHideFromEditors(), "Slicer's Save dialog skips hidden nodes"
    assert kept.GetSaveWithScene()
    assert np.array_equal(nodes.answer_of(kept, volume), labelmap())
    volume.GetParentTransformNode().SetMatrixTransformToParent(geometry.matrix_of(np.eye(4)))
    assert np.array_equal(nodes.answer_of(kept, volume), labelmap())
    assert segments.answer_of(None, volume) is None
    assert segments.answer_of(kept, make_volume("elsewhere", ijk_to_ras=np.eye(4))) is None
    assert segments.answer_of(kept, make_volume("smaller", labelmap()[:-1])) is None
    slicer.mrmlScene.RemoveNode(kept)
    assert segments.answer_of(kept, volume) is None
