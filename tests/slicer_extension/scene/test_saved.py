"""What files and scenes bring back."""

import importlib

import numpy as np
import pytest
import slicer
from TumorLoopLib.scene import segments
from TumorLoopLib.scene.labels import LabelSet
from TumorLoopLib.scene.volumes import add_volume, digest, snapshot

from tests.slicer_extension.harness import slicer_python
from tests.slicer_extension.scene.nodes import LABELS, SHAPE, image, labelmap
from tests.slicer_extension.scene.segmentations import (
    ET,
    NCR,
    add_segment,
    answer_of,
    back,
    ball,
    case,
    mask_of,
    paint,
    tag_of,
    world_of,
)

pytestmark = pytest.mark.usefixtures("scene")


@pytest.fixture
def Parameters():
    slicer_python.install()
    return importlib.import_module("TumorLoopLib.panel.parameters").TumorLoopParameters


def edited():
    """A segmentation after the edits that make Slicer renumber label values; its volume; the labelmap it stands for."""
    volume, node = case()
    segmentation = node.GetSegmentation()
    mask = mask_of(node, NCR, volume)
    segmentation.RemoveSegment(NCR)
    add_segment(node, "NCR", volume, mask)
    added = ball(SHAPE, (10, 14, 20), 5)
    paint(node, ET, volume, mask_of(node, ET, volume) | added)
    segmentation.GetSegment(ET).SetName("aktiver Tumor ä")
    segmentation.SetSegmentIndex(ET, 0)
    expected = labelmap()
    expected[added] = 3
    return node, volume, expected


def looks(node):
    """Code, label tag and color of each segment: by name, and the colors in the order of the names."""
    segmentation = node.GetSegmentation()
    entry = slicer.vtkSegment.GetTerminologyEntryTagName()
    texts, colors = {}, {}
    for number in range(segmentation.GetNumberOfSegments()):
        one = segmentation.GetNthSegment(number)
        texts[one.GetName()] = (tag_of(one, entry), tag_of(one, segments.LABEL_TAG))
        colors[one.GetName()] = one.GetColor()
    return texts, np.array([colors[name] for name in sorted(colors)])


def assert_alike(one, other):
    assert one[0] == other[0]
    assert np.allclose(one[1], other[1], atol=1e-4)  # files keep six digits


def test_a_segmentation_file_brings_labels_colors_and_codes_back(tmp_path):
    node, volume, expected = edited()
    before = looks(node)
    assert before[0]["aktiver Tumor ä"] == (LABELS.labels[2].terminology_entry, "3")
    assert tuple(before[1][1]) == (1.0, 0.0, 0.0)
    assert slicer.util.saveNode(node, str(tmp_path / "tumor.seg.nrrd"))
    slicer.mrmlScene.RemoveNode(node)
    again = slicer.util.loadSegmentation(str(tmp_path / "tumor.seg.nrrd"))
    again.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    assert np.array_equal(back(again, volume).array, expected)
    assert_alike(looks(again), before)


def test_the_file_alone_lies_on_the_grid_of_its_volume(tmp_path):
    node, volume, expected = edited()
    slicer.util.saveNode(node, str(tmp_path / "tumor.seg.nrrd"))
    again = slicer.util.loadSegmentation(str(tmp_path / "tumor.seg.nrrd"))
    again.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    report = back(again, volume)
    assert report.off_grid_voxels == 0
    assert report.notices == []
    assert np.array_equal(report.array, expected)


def fill(Parameters):
    """Bring a scene with everything the panel keeps into being; return what it must look like afterwards."""
    node, volume, expected = edited()
    world = world_of(volume)
    module = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "TumorLoop")
    module.SetModuleName("TumorLoop")
    parameters = Parameters(module)
    parameters.t1ce = volume
    parameters.flair = add_volume(image(seed=5), world, "case FLAIR", "flair")
    parameters.segmentation = node
    parameters.answer = segments.keep_answer(labelmap(), world, volume, node.GetName())
    parameters.uncertainty = add_volume(image(seed=6).astype(np.float32) / 7, world, "Uncertainty of case")
    parameters.case_id, parameters.model_version = "TCGA-01", "m0003"
    parameters.comment = 'unsure: "cyst?" <ok> ä\nsecond line'
    parameters.label_set = LABELS.to_json()
    parameters.final, parameters.epochs = False, 25
    digests = {role: digest(snapshot(getattr(parameters, role), role)) for role in ("t1ce", "flair")}
    return expected, digests, looks(node)


@pytest.mark.parametrize("ending", ["mrb", "mrml"])
def test_a_saved_scene_brings_the_whole_case_back(tmp_path, Parameters, ending):
    expected, digests, styles = fill(Parameters)
    path = tmp_path / f"case.{ending}"
    if ending == "mrml":
        for node in slicer.util.getNodesByClass("vtkMRMLStorableNode"):
            if node.GetSaveWithScene() and not node.GetHideFromEditors() and node.GetName():
                save_beside(node, tmp_path)
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScriptedModuleNode") is None
    slicer.util.loadScene(str(path))
    parameters = Parameters(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScriptedModuleNode"))
    assert (parameters.t1, parameters.t2) == (None, None)
    assert {role: digest(snapshot(getattr(parameters, role), role)) for role in digests} == digests
    assert np.array_equal(back(parameters.segmentation, parameters.t1ce).array, expected)
    assert_alike(looks(parameters.segmentation), styles)
    assert np.array_equal(answer_of(parameters.answer, parameters.t1ce), labelmap())
    uncertain = slicer.util.arrayFromVolume(parameters.uncertainty)
    assert np.array_equal(uncertain, image(seed=6).astype(np.float32) / 7)
    assert (parameters.case_id, parameters.model_version) == ("TCGA-01", "m0003")
    assert parameters.comment == 'unsure: "cyst?" <ok> ä\nsecond line'
    assert LabelSet.from_json(parameters.label_set) == LABELS
    assert (parameters.final, parameters.epochs) == (False, 25)


def save_beside(node, folder):
    ending = {"vtkMRMLSegmentationNode": "seg.nrrd", "vtkMRMLLinearTransformNode": "h5"}.get(
        node.GetClassName(), "nrrd"
    )
    if node.IsA("vtkMRMLVolumeNode") or ending != "nrrd":
        assert slicer.util.saveNode(node, str(folder / f"{node.GetID()}.{ending}"))


def test_a_new_parameter_node_is_empty_final_and_leaves_epochs_to_the_server(Parameters):
    module = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "TumorLoop")
    parameters = Parameters(module)
    nodes = [
        getattr(parameters, name) for name in ("t1", "t1ce", "t2", "flair", "segmentation", "answer", "uncertainty")
    ]
    assert nodes == [None] * 7
    assert [parameters.case_id, parameters.model_version, parameters.comment, parameters.label_set] == [""] * 4
    assert (parameters.final, parameters.epochs) == (True, 0)


def test_a_node_of_another_kind_is_refused(Parameters):
    volume, node = case()
    parameters = Parameters(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "TumorLoop"))
    with pytest.raises((TypeError, ValueError)):
        parameters.segmentation = volume
    with pytest.raises((TypeError, ValueError)):
        parameters.t1ce = node


@pytest.mark.parametrize("epochs", [-1, 1001])
def test_an_odd_number_of_epochs_is_refused(Parameters, epochs):
    parameters = Parameters(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "TumorLoop"))
    with pytest.raises(ValueError, match="epochs"):
        parameters.epochs = epochs
    assert parameters.epochs == 0


def test_a_node_that_is_removed_is_none_again(Parameters):
    volume, _node = case()
    parameters = Parameters(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "TumorLoop"))
    parameters.t1ce = volume
    slicer.mrmlScene.RemoveNode(volume)
    assert parameters.t1ce is None
