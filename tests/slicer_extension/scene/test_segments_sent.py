"""What the user did to a segmentation, and which labelmap is sent: voxel for voxel on the reference grid."""

import numpy as np
import pytest
import slicer
from TumorLoopLib.scene import segments
from TumorLoopLib.scene.labels import LabelSet
from TumorLoopLib.scene.volumes import UnusableVolume

from tests.slicer_extension.scene.nodes import (
    INFO,
    LABELS,
    SHAPE,
    add_bending,
    labelmap,
    make_volume,
    moved_by,
    oblique,
)
from tests.slicer_extension.scene.segmentations import (
    ED,
    ET,
    NCR,
    add_segment,
    back,
    ball,
    case,
    mask_of,
    paint,
    world_of,
)

pytestmark = pytest.mark.usefixtures("scene")


def segment(node, segment_id):
    return node.GetSegmentation().GetSegment(segment_id)


@pytest.mark.parametrize("transformed", [False, True])
def test_an_untouched_answer_is_sent_as_it_came(transformed):
    volume, node = case(transformed=transformed)
    report = back(node, volume)
    assert report.array.dtype == np.uint8
    assert np.array_equal(report.array, labelmap())
    world = moved_by() @ oblique() if transformed else oblique()
    assert np.allclose(report.ijk_to_ras, world, atol=1e-6)
    assert (report.problems, report.notices, report.empty) == ([], [], False)
    assert report.overlapping_voxels == report.outside_voxels == report.off_grid_voxels == 0


def test_painted_voxels_are_sent():
    volume, node = case()
    added = ball(SHAPE, (10, 14, 20), 4.5)
    paint(node, ET, volume, mask_of(node, ET, volume) | added)
    expected = labelmap()
    expected[added] = 3
    report = back(node, volume)
    assert np.array_equal(report.array, expected)
    assert report.overlapping_voxels == (added & np.isin(labelmap(), (1, 2))).sum() > 0


def test_erased_voxels_are_background():
    volume, node = case()
    paint(node, ED, volume, mask_of(node, ED, volume) & ~ball(SHAPE, (8, 14, 14), 5))
    expected = labelmap()
    expected[(expected == 2) & ball(SHAPE, (8, 14, 14), 5)] = 0
    assert np.array_equal(back(node, volume).array, expected)


def test_renamed_and_recolored_segments_keep_their_label():
    volume, node = case()
    segment(node, ET).SetName("Tumor, aktiv")
    segment(node, ED).SetColor(0.1, 0.9, 0.3)
    report = back(node, volume)
    assert np.array_equal(report.array, labelmap())
    assert report.problems == []


def test_a_deleted_segment_does_not_renumber_the_others():
    volume, node = case()
    node.GetSegmentation().RemoveSegment(NCR)
    report = back(node, volume)
    assert np.array_equal(report.array, np.where(labelmap() == 1, 0, labelmap()))
    assert report.notices == ["There is no segment for necrotic core, so none is sent."]
    assert report.problems == []


@pytest.mark.parametrize("name", ["necrotic core", "Necrotic Core ", "NCR"])
def test_a_segment_that_was_deleted_and_made_anew_is_known_by_its_name(name):
    volume, node = case()
    mask = mask_of(node, NCR, volume)
    node.GetSegmentation().RemoveSegment(NCR)
    add_segment(node, name, volume, mask)
    report = back(node, volume)
    assert np.array_equal(report.array, labelmap())
    assert (report.problems, report.notices) == ([], [])


def test_a_segment_made_anew_with_the_terminology_selector_is_known_by_its_code():
    volume, node = case()
    mask = mask_of(node, ED, volume)
    node.GetSegmentation().RemoveSegment(ED)
    anew = segment(node, add_segment(node, "Edema", volume, mask))
    anew.SetTag(
        slicer.vtkSegment.GetTerminologyEntryTagName(),
        "Segmentation category and type - 3D Slicer General Anatomy list~SCT^49755003^Morphologically Altered Structure"
        "~SCT^79654002^Edema~^^~Anatomic codes - DICOM master list~^^~^^",
    )
    report = back(node, volume)
    assert np.array_equal(report.array, labelmap())
    assert report.problems == []


def test_the_order_of_segments_does_not_matter():
    volume, node = case()
    node.GetSegmentation().SetSegmentIndex(ET, 0)
    assert np.array_equal(back(node, volume).array, labelmap())


def test_slicers_own_export_would_have_renumbered():
    """The trap that this module avoids: without it, the test says when Slicer has changed."""
    volume, node = case()
    node.GetSegmentation().RemoveSegment(NCR)
    exported = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    slicer.modules.segmentations.logic().ExportAllSegmentsToLabelmapNode(node, exported, 0)
    assert set(np.unique(slicer.util.arrayFromVolume(exported))) == {0, 1, 2}
    assert set(np.unique(back(node, volume).array)) == {0, 2, 3}


def test_an_empty_segmentation_says_so():
    volume, node = case(array=np.zeros(SHAPE, np.uint8))
    report = back(node, volume)
    assert report.empty
    assert not report.array.any()
    assert report.problems == [
        '"answer" is empty: no voxel is necrotic core or peritumoral edema or enhancing tumor. '
        "Send it only if there is no tumor."
    ]


def test_a_segmentation_without_segments_is_empty():
    volume, node = case()
    node.GetSegmentation().RemoveAllSegments()
    report = back(node, volume)
    assert report.empty
    assert len(report.notices) == 3


def test_an_empty_segment_among_full_ones_is_no_problem():
    volume, node = case()
    paint(node, NCR, volume, np.zeros(SHAPE, bool))
    report = back(node, volume)
    assert np.array_equal(report.array, np.where(labelmap() == 1, 0, labelmap()))
    assert (report.problems, report.notices) == ([], [])


def overlapping():
    volume, node = case(array=np.zeros(SHAPE, np.uint8))
    masks = {ED: ball(SHAPE, (10, 14, 15), 8), NCR: ball(SHAPE, (10, 14, 17), 5), ET: ball(SHAPE, (10, 14, 20), 5)}
    for segment_id, mask in masks.items():
        node.GetSegmentation().SeparateSegmentLabelmap(segment_id)
        paint(node, segment_id, volume, mask)
    return volume, node, masks


def test_where_segments_overlap_enhancing_tumor_wins_over_necrotic_core_over_edema():
    volume, node, masks = overlapping()
    expected = np.where(masks[ED], 2, 0)
    expected[masks[NCR]] = 1
    expected[masks[ET]] = 3
    report = back(node, volume)
    assert np.array_equal(report.array, expected)
    several = sum(mask.astype(int) for mask in masks.values()) > 1
    assert report.overlapping_voxels == several.sum()
    assert report.problems == [
        f"{several.sum()} voxels belong to several segments. Each is sent as the first of: "
        "enhancing tumor, necrotic core, peritumoral edema."
    ]


def test_a_segment_of_the_users_own_is_named_and_not_sent():
    volume, node = case()
    add_segment(node, "cyst", volume, ball(SHAPE, (4, 5, 6), 2))
    report = back(node, volume)
    assert report.unknown_segments == ["cyst"]
    assert np.array_equal(report.array, labelmap())
    assert report.problems == [
        'The segment "cyst" is not one of necrotic core, peritumoral edema, enhancing tumor, so it is not sent. '
        "Rename it if it should be one of them."
    ]


def test_renaming_it_as_the_sentence_says_has_it_sent():
    volume, node = case(array=np.zeros(SHAPE, np.uint8))
    node.GetSegmentation().RemoveSegment(ED)
    mask = ball(SHAPE, (4, 5, 6), 2)
    segment(node, add_segment(node, "cyst", volume, mask)).SetName("edema of the user")
    assert back(node, volume).unknown_segments == ["edema of the user"]
    node.GetSegmentation().GetNthSegment(2).SetName("peritumoral edema")
    assert np.array_equal(back(node, volume).array, np.where(mask, 2, 0))


def test_an_unknown_segment_without_voxels_is_not_worth_a_word():
    volume, node = case()
    add_segment(node, "Segment_1", volume)
    report = back(node, volume)
    assert (report.unknown_segments, report.problems) == ([], [])


def test_a_segment_that_bears_another_labels_name_is_sent_by_its_tag_and_named():
    volume, node = case()
    segment(node, ED).SetName("Enhancing tumor")
    report = back(node, volume)
    assert np.array_equal(report.array, labelmap())
    assert report.problems == [
        'The segment "Enhancing tumor" is sent as peritumoral edema, which it was created for. If it is enhancing '
        "tumor now, copy it into a new segment of that name and delete this one."
    ]


def test_two_segments_of_one_label_are_sent_as_one_and_named():
    volume, node = case()
    copy = slicer.vtkSegment()
    copy.DeepCopy(segment(node, ET))
    copy.SetName("before my edits")
    node.GetSegmentation().AddSegment(copy, "copy")
    both = mask_of(node, ET, volume) | ball(SHAPE, (16, 22, 28), 2)
    paint(node, "copy", volume, both)
    report = back(node, volume)
    assert np.array_equal(report.array == 3, both)
    assert report.overlapping_voxels == (both & np.isin(labelmap(), (1, 2))).sum()
    assert report.problems[-1] == (
        '"enhancing tumor", "before my edits" all count as enhancing tumor and are sent as one. '
        "Delete those you do not mean."
    )


@pytest.mark.parametrize("tag", ["", "x", "-1", "0", "7", "3.0"])
def test_a_damaged_tag_leaves_the_name_to_tell(tag):
    volume, node = case()
    segment(node, ET).SetTag(segments.LABEL_TAG, tag)
    assert np.array_equal(back(node, volume).array, labelmap())
    segment(node, ET).SetName("something")
    segment(node, ET).RemoveTag(slicer.vtkSegment.GetTerminologyEntryTagName())
    assert back(node, volume).unknown_segments == ["something"]


def test_another_servers_labels_are_what_counts():
    volume, node = case()
    only_edema = LabelSet.from_info({"label_details": INFO["label_details"][1:2], "regions": {}})
    report = segments.labelmap_of(node, volume, only_edema)
    assert np.array_equal(report.array, np.where(labelmap() == 2, 2, 0))
    assert report.unknown_segments == ["necrotic core", "enhancing tumor"]


def test_edits_after_the_copy_do_not_reach_it():
    volume, node = case()
    copy = segments.extract(node, volume, LABELS)
    slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, ED)[:] = 0  # what a brush does: in place
    paint(node, ET, volume, np.zeros(SHAPE, bool))
    assert np.array_equal(segments.combine(copy).array, labelmap())


def test_undo_in_the_segment_editor_is_followed():
    volume, node = case()
    history = slicer.vtkSegmentationHistory()
    history.SetSegmentation(node.GetSegmentation())
    history.SaveState()
    paint(node, ET, volume, ball(SHAPE, (16, 22, 28), 2))
    assert not np.array_equal(back(node, volume).array, labelmap())
    history.RestorePreviousState()
    assert np.array_equal(back(node, volume).array, labelmap())


def test_shown_in_3d_it_is_still_sent_by_voxels():
    volume, node = case()
    node.CreateClosedSurfaceRepresentation()
    assert np.array_equal(back(node, volume).array, labelmap())


def test_surfaces_are_refused_with_the_remedy():
    volume, node = case()
    node.CreateClosedSurfaceRepresentation()
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    with pytest.raises(UnusableVolume, match=r'"answer" consists of surfaces.*click "Make source"'):
        segments.extract(node, volume, LABELS)


def test_a_bending_transform_is_refused_with_the_remedy():
    volume, node = case(transformed=False)
    add_bending(node)
    with pytest.raises(UnusableVolume, match=r'"answer" is under a nonlinear transform. Harden it first'):
        segments.extract(node, volume, LABELS)


def test_what_is_gone_is_refused():
    volume, node = case()
    with pytest.raises(UnusableVolume, match="No segmentation is chosen"):
        segments.extract(None, volume, LABELS)
    with pytest.raises(UnusableVolume, match="no longer there"):
        segments.extract(node, None, LABELS)
    slicer.mrmlScene.RemoveNode(node)
    with pytest.raises(UnusableVolume, match="No segmentation is chosen"):
        segments.extract(node, volume, LABELS)


def test_the_reference_may_be_another_volume_of_the_same_grid():
    volume, node = case()
    other = make_volume("T2", ijk_to_ras=world_of(volume))
    report = back(node, other)
    assert np.array_equal(report.array, labelmap())
    assert report.notices == []
