import numpy as np
import pytest
import slicer
from TumorLoopLib.client.errors import BadReply
from TumorLoopLib.scene import geometry, segments
from TumorLoopLib.scene.volumes import UnusableVolume

from tests.slicer_extension.scene.nodes import LABELS, SHAPE, add_bending, labelmap, make_volume, oblique
from tests.slicer_extension.scene.segmentations import answer_of, back, case, mask_of, tag_of, world_of

pytestmark = pytest.mark.usefixtures("scene")


def inside(node):
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(number) for number in range(segmentation.GetNumberOfSegments())]


def test_segments_carry_the_names_colors_and_codes_of_the_labels():
    _volume, node = case()
    found = [(one.GetName(), one.GetColor(), tag_of(one, segments.LABEL_TAG)) for one in inside(node)]
    assert found == [
        ("necrotic core", (0.0, 1.0, 1.0), "1"),
        ("peritumoral edema", (1.0, 1.0, 0.0), "2"),
        ("enhancing tumor", (1.0, 0.0, 0.0), "3"),
    ]


def test_slicers_terminology_understands_the_codes():
    _volume, node = case()
    logic = slicer.modules.terminologies.logic()
    for segment, label in zip(inside(node), LABELS.labels, strict=True):
        text = tag_of(segment, slicer.vtkSegment.GetTerminologyEntryTagName())
        entry = slicer.vtkSlicerTerminologyEntry()
        assert logic.DeserializeTerminologyEntry(text, entry)
        kind, category = entry.GetTypeObject(), entry.GetCategoryObject()
        assert (kind.GetCodingSchemeDesignator(), kind.GetCodeValue(), kind.GetCodeMeaning()) == label.code
        assert category.GetCodeValue() == "49755003"
        assert logic.SerializeTerminologyEntry(entry) == text


def test_voxels_are_where_slicer_says_they_are():
    volume, node = case()
    for label in LABELS.labels:
        assert np.array_equal(mask_of(node, label.key, volume), labelmap() == label.value)


def test_the_segmentation_shares_the_references_transform_and_geometry():
    volume, node = case()
    assert node.GetTransformNodeID() == volume.GetTransformNodeID() is not None
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is volume
    assert node.GetDisplayNode() is not None


def test_a_labelmap_on_another_grid_is_shown_where_it_lies_in_the_world():
    volume = make_volume()
    coarse = oblique((3.0, 3.0, 3.0), (0.0, 0.0, 0.0))
    array = labelmap((12, 13, 14))
    node = segments.add_segmentation(array, coarse, LABELS, volume, "older")
    picture = inside(node)[0].GetRepresentation("Binary labelmap")
    matrix = geometry.matrix_of(np.eye(4))
    picture.GetImageToWorldMatrix(matrix)
    assert np.allclose(geometry.array_of(matrix), coarse)


def test_an_empty_labelmap_gives_segments_to_paint_into():
    volume, node = case(array=np.zeros(SHAPE, np.uint8))
    assert [one.GetName() for one in inside(node)] == [label.name for label in LABELS.labels]
    assert back(node, volume).empty


def test_a_manual_segmentation_is_never_touched():
    volume, first = case()
    before = back(first, volume).array
    names = [one.GetName() for one in inside(first)]
    other = np.zeros(SHAPE, np.uint8)
    other[4:9, 4:9, 4:9] = 1
    second = segments.add_segmentation(other, world_of(volume), LABELS, volume, "answer")
    assert second is not first
    assert second.GetName() != first.GetName() == "answer"
    assert np.array_equal(back(first, volume).array, before)
    assert [one.GetName() for one in inside(first)] == names
    assert np.array_equal(back(second, volume).array, other)


def test_showing_is_undone_by_the_scene():
    slicer.mrmlScene.SetUndoOn()
    volume, first = case()
    second = segments.add_segmentation(labelmap(), world_of(volume), LABELS, volume, "second")
    assert second.GetScene() is slicer.mrmlScene
    slicer.mrmlScene.Undo()
    assert slicer.mrmlScene.GetFirstNodeByName("second") is None
    assert first.GetScene() is slicer.mrmlScene
    assert np.array_equal(back(first, volume).array, labelmap())


def test_values_that_are_no_labels_are_refused_and_leave_nothing_behind():
    volume = make_volume()
    odd = labelmap()
    odd[0, 0, 0], odd[0, 0, 1] = 9, 4
    count = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(BadReply, match=r"values without a label: 4, 9\."):
        segments.add_segmentation(odd, oblique(), LABELS, volume, "odd")
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_a_reference_that_is_gone_or_bent_is_refused():
    volume = make_volume()
    add_bending(volume)
    with pytest.raises(UnusableVolume, match="nonlinear"):
        segments.add_segmentation(labelmap(), oblique(), LABELS, volume, "a")
    slicer.mrmlScene.RemoveNode(volume)
    with pytest.raises(UnusableVolume, match="no longer there"):
        segments.add_segmentation(labelmap(), oblique(), LABELS, volume, "a")


def test_the_answer_is_kept_as_it_came_and_stays_with_its_volume():
    volume, node = case()
    kept = segments.keep_answer(labelmap(), world_of(volume), volume, node.GetName())
    assert np.array_equal(answer_of(kept, volume), labelmap())
    volume.GetParentTransformNode().SetMatrixTransformToParent(geometry.matrix_of(np.eye(4)))
    assert np.array_equal(answer_of(kept, volume), labelmap())


def test_the_answer_is_saved_by_slicers_save_dialog_which_passes_over_hidden_nodes():
    volume, _node = case()
    kept = segments.keep_answer(labelmap(), world_of(volume), volume, "a")
    assert not kept.GetHideFromEditors()
    assert kept.GetSaveWithScene()


def test_an_answer_on_another_grid_is_not_compared():
    volume, node = case()
    kept = segments.keep_answer(labelmap(), world_of(volume), volume, "a")
    assert segments.answer_of(None, volume) is None
    assert segments.answer_of(kept, make_volume("elsewhere")) is None
    assert segments.answer_of(kept, make_volume("smaller", labelmap()[:-1])) is None
    slicer.mrmlScene.RemoveNode(kept)
    assert segments.answer_of(kept, volume) is None
    assert node.GetScene() is slicer.mrmlScene
