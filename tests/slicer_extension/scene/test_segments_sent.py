import numpy as np
import pytest
import slicer
from TumorLoopLib.scene import segments
from TumorLoopLib.scene.labels import LabelSet
from TumorLoopLib.scene.volumes import UnusableVolume

from tests.slicer_extension.scene import nodes
from tests.slicer_extension.scene.nodes import ED, ET, LABELS, NCR, SHAPE, ball, case, labelmap, mask_of, paint

pytestmark = pytest.mark.usefixtures("scene")

WITHOUT_NCR = np.where(labelmap() == 1, 0, labelmap())
EMPTY = np.zeros(SHAPE, np.uint8)
ENTRY = slicer.vtkSegment.GetTerminologyEntryTagName()
#: As the terminology selector writes it.
EDEMA = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^49755003^Morphologically Altered Structure"
    "~SCT^79654002^Edema~^^~Anatomic codes - DICOM master list~^^~^^"
)


def segment(node, segment_id):
    return node.GetSegmentation().GetSegment(segment_id)


def assert_sent(node, volume, expected, problems=(), notices=()):
    """The segmentation becomes this labelmap, and nothing else is to be said about it."""
    report = nodes.back(node, volume)
    assert np.array_equal(report.array, expected)
    assert (report.problems, report.notices) == (list(problems), list(notices))
    assert report.empty == (not np.any(expected))
    return report


@pytest.mark.parametrize("transformed", [False, True])
def test_an_untouched_answer_is_sent_as_it_came_also_on_the_equal_grid_of_another_volume(transformed):
    volume, node = case(transformed=transformed)
    for reference in (volume, nodes.make_volume("T2", ijk_to_ras=nodes.world_of(volume))):
        report = assert_sent(node, reference, labelmap())
        assert report.array.dtype == np.uint8
        motion = nodes.moved_by() if transformed else np.eye(4)
        assert np.allclose(report.ijk_to_ras, motion @ nodes.oblique(), atol=1e-6)
        assert report.overlapping_voxels == report.outside_voxels == report.off_grid_voxels == 0
    assert segments.only_labels(node)
    nodes.segments_in(node)[0].RemoveTag(segments.LABEL_TAG)
    assert not segments.only_labels(node)


def test_painted_voxels_are_sent_and_erased_ones_are_background():
    volume, node = case()
    added, erased = ball(SHAPE, (10, 14, 20), 4.5), ball(SHAPE, (8, 14, 4), 5)
    paint(node, ET, volume, mask_of(node, ET, volume) | added)
    expected = np.where(added, 3, labelmap())
    report = nodes.back(node, volume)
    assert np.array_equal(report.array, expected)
    assert report.overlapping_voxels == (added & np.isin(labelmap(), (1, 2))).sum() > 0
    paint(node, ED, volume, mask_of(node, ED, volume) & ~erased)
    expected[(expected == 2) & erased] = 0
    assert np.array_equal(nodes.back(node, volume).array, expected)


def test_renamed_recolored_and_reordered_segments_keep_their_label():
    volume, node = case()
    segment(node, ET).SetName("Tumor, aktiv")
    segment(node, ED).SetColor(0.1, 0.9, 0.3)
    node.GetSegmentation().SetSegmentIndex(ET, 0)
    assert_sent(node, volume, labelmap())


def test_a_deleted_segment_does_not_renumber_the_others_as_slicers_own_export_would():
    volume, node = case()
    node.GetSegmentation().RemoveSegment(NCR)
    notice = "There is no segment for necrotic core, so none is sent."
    assert_sent(node, volume, WITHOUT_NCR, notices=[notice])
    exported = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    slicer.modules.segmentations.logic().ExportAllSegmentsToLabelmapNode(node, exported, 0)
    # The trap that the module avoids: this line says when Slicer has changed.
    assert set(np.unique(slicer.util.arrayFromVolume(exported))) == {0, 1, 2}


@pytest.mark.parametrize(
    ("segment_id", "name", "entry"),
    [(NCR, "necrotic core", ""), (NCR, "Necrotic Core ", ""), (NCR, "NCR", ""), (ED, "Edema", EDEMA)],
)
def test_a_segment_that_was_deleted_and_made_anew_is_known_by_its_name_or_code(segment_id, name, entry):
    volume, node = case()
    mask = mask_of(node, segment_id, volume)
    node.GetSegmentation().RemoveSegment(segment_id)
    nodes.add_segment(node, name, volume, mask).SetTag(ENTRY, entry)
    assert_sent(node, volume, labelmap())


def test_an_empty_segmentation_says_so_with_segments_or_without_but_an_empty_segment_among_full_ones_is_no_problem():
    volume, node = case()
    paint(node, NCR, volume, EMPTY)
    nodes.add_segment(node, "Segment_1", volume)
    assert assert_sent(node, volume, WITHOUT_NCR).unknown_segments == []
    volume, node = case(array=EMPTY)
    problem = "no voxel is necrotic core or peritumoral edema or enhancing tumor. Send it only if there is no tumor."
    assert_sent(node, volume, EMPTY, [f'"{node.GetName()}" is empty: {problem}'])
    node.GetSegmentation().RemoveAllSegments()
    assert (nodes.back(node, volume).empty, len(nodes.back(node, volume).notices)) == (True, 3)


def test_where_segments_overlap_enhancing_tumor_wins_over_necrotic_core_over_edema():
    volume, node = case(array=EMPTY)
    masks = {ED: ball(SHAPE, (10, 14, 15), 8), NCR: ball(SHAPE, (10, 14, 17), 5), ET: ball(SHAPE, (10, 14, 20), 5)}
    for segment_id, mask in masks.items():
        node.GetSegmentation().SeparateSegmentLabelmap(segment_id)
        paint(node, segment_id, volume, mask)
    expected = np.select([masks[ET], masks[NCR], masks[ED]], [3, 1, 2])
    several = (np.sum(list(masks.values()), axis=0) > 1).sum()
    problem = (
        f"{several} voxels belong to several segments. Each is sent as the first of: "
        "enhancing tumor, necrotic core, peritumoral edema."
    )
    assert assert_sent(node, volume, expected, [problem]).overlapping_voxels == several


def test_a_segment_of_the_users_own_is_named_and_sent_only_when_it_is_renamed_as_the_message_says():
    volume, node = case()
    node.GetSegmentation().RemoveSegment(ED)
    mask = ball(SHAPE, (4, 5, 6), 2)
    cyst = nodes.add_segment(node, "cyst", volume, mask)
    expected = np.where(labelmap() == 2, 0, labelmap())
    problem = (
        'The segment "cyst" is not one of necrotic core, peritumoral edema, enhancing tumor, so it is not sent. '
        "Rename it if it should be one of them."
    )
    notice = "There is no segment for peritumoral edema, so none is sent."
    assert assert_sent(node, volume, expected, [problem], [notice]).unknown_segments == ["cyst"]
    cyst.SetName("peritumoral edema")
    assert np.array_equal(nodes.back(node, volume).array, np.where(mask & (expected == 0), 2, expected))


def test_two_segments_of_one_label_are_sent_as_one_and_named():
    volume, node = case()
    copy = slicer.vtkSegment()
    copy.DeepCopy(segment(node, ET))
    copy.SetName("before my edits")
    node.GetSegmentation().AddSegment(copy, "copy")
    both = mask_of(node, ET, volume) | ball(SHAPE, (16, 22, 28), 2)
    paint(node, "copy", volume, both)
    report = nodes.back(node, volume)
    assert np.array_equal(report.array == 3, both)
    assert report.overlapping_voxels == (both & np.isin(labelmap(), (1, 2))).sum()
    assert report.problems[-1] == (
        '"enhancing tumor", "before my edits" all count as enhancing tumor and are sent as one. '
        "Delete those you do not mean."
    )


@pytest.mark.parametrize("tag", ["", "x", "-1", "0", "7", "3.0"])
def test_the_tag_decides_against_the_name_and_the_name_if_the_tag_is_damaged(tag):
    volume, node = case()
    segment(node, ET).SetTag(segments.LABEL_TAG, tag)
    segment(node, ED).SetName("Enhancing tumor")
    problem = (
        'The segment "Enhancing tumor" is sent as peritumoral edema, which it was created for. If it is enhancing '
        "tumor now, copy it into a new segment of that name and delete this one."
    )
    assert_sent(node, volume, labelmap(), [problem])
    segment(node, ET).SetName("something")
    segment(node, ET).RemoveTag(ENTRY)
    assert nodes.back(node, volume).unknown_segments == ["something"]


def test_another_servers_labels_are_what_counts():
    volume, node = case()
    only_edema = LabelSet.from_info({"label_details": nodes.INFO["label_details"][1:2], "regions": {}})
    report = segments.labelmap_of(node, volume, only_edema)
    assert np.array_equal(report.array, np.where(labelmap() == 2, 2, 0))
    assert report.unknown_segments == ["necrotic core", "enhancing tumor"]


def test_edits_after_the_copy_do_not_reach_it_and_undo_is_followed():
    volume, node = case()
    copy, history = segments.extract(node, volume, LABELS), slicer.vtkSegmentationHistory()
    history.SetSegmentation(node.GetSegmentation())
    history.SaveState()
    slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, ED)[:] = 0  # what a brush does: in place
    paint(node, ET, volume, ball(SHAPE, (16, 22, 28), 2))
    assert np.array_equal(segments.combine(copy).array, labelmap())
    assert not np.array_equal(nodes.back(node, volume).array, labelmap())
    history.RestorePreviousState()
    assert_sent(node, volume, labelmap())


def test_shown_in_3d_it_is_still_sent_by_voxels_but_surfaces_alone_are_refused_and_what_is_gone_or_nonlinear():
    volume, node = case(transformed=False)
    node.CreateClosedSurfaceRepresentation()
    assert_sent(node, volume, labelmap())
    for other, reference, words in ((None, volume, "No segmentation is chosen"), (node, None, "no longer there")):
        with pytest.raises(UnusableVolume, match=words):
            segments.extract(other, reference, LABELS)
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    with pytest.raises(UnusableVolume, match=r'"answer" consists of surfaces.*click "Make source"'):
        segments.extract(node, volume, LABELS)
    _volume, node = case(transformed=False)
    nodes.add_nonlinear(node)
    with pytest.raises(UnusableVolume, match=rf'"{node.GetName()}" is under a nonlinear transform. Harden it first'):
        segments.extract(node, volume, LABELS)
    slicer.mrmlScene.RemoveNode(node)
    with pytest.raises(UnusableVolume, match="No segmentation is chosen"):
        segments.extract(node, volume, LABELS)
