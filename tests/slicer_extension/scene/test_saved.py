import importlib

import numpy as np
import pytest
import slicer
from TumorLoopLib.scene import segments
from TumorLoopLib.scene.labels import LabelSet
from TumorLoopLib.scene.volumes import add_volume, digest, snapshot

from tests.slicer_extension.harness import mrml_scene
from tests.slicer_extension.scene import nodes
from tests.slicer_extension.scene.nodes import ET, LABELS, NCR, SHAPE, back, case, image, labelmap, mask_of

pytestmark = pytest.mark.usefixtures("scene")

COMMENT = 'unsure: "cyst?" <ok> ä\nsecond line'
UNCERTAINTY = image(seed=6).astype(np.float32) / 7


@pytest.fixture
def parameters_of():
    mrml_scene.install()
    return importlib.import_module("TumorLoopLib.panel.parameters").TumorLoopParameters


@pytest.fixture
def parameters(parameters_of):
    module = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "TumorLoop")
    module.SetModuleName("TumorLoop")
    return parameters_of(module)


def edited():
    """A segmentation after the edits that make Slicer renumber label values; its volume; the labelmap it stands for."""
    volume, node = case()
    segmentation = node.GetSegmentation()
    mask = mask_of(node, NCR, volume)
    segmentation.RemoveSegment(NCR)
    nodes.add_segment(node, "NCR", volume, mask)
    added = nodes.ball(SHAPE, (10, 14, 20), 5)
    nodes.paint(node, ET, volume, mask_of(node, ET, volume) | added)
    segmentation.GetSegment(ET).SetName("aktiver Tumor ä")
    segmentation.SetSegmentIndex(ET, 0)
    return node, volume, np.where(added, 3, labelmap())


def looks(node):
    """Code, label tag and color of each segment by name; files keep six digits of a color."""
    tags = (slicer.vtkSegment.GetTerminologyEntryTagName(), segments.LABEL_TAG)
    found = nodes.segments_in(node)
    return {one.GetName(): (*(nodes.tag_of(one, tag) for tag in tags), *np.round(one.GetColor(), 3)) for one in found}


@pytest.mark.parametrize("removed", [True, False], ids=["alone", "beside the first"])
def test_a_segmentation_file_brings_voxels_labels_colors_and_codes_back(tmp_path, removed):
    node, volume, expected = edited()
    before = looks(node)
    assert before["aktiver Tumor ä"] == (LABELS.labels[2].terminology_entry, "3", 1.0, 0.0, 0.0)
    assert slicer.util.saveNode(node, str(tmp_path / "tumor.seg.nrrd"))
    if removed:
        slicer.mrmlScene.RemoveNode(node)
    again = slicer.util.loadSegmentation(str(tmp_path / "tumor.seg.nrrd"))
    again.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    report = back(again, volume)
    assert (report.off_grid_voxels, report.notices) == (0, [])
    assert np.array_equal(report.array, expected)
    assert looks(again) == before


def fill(parameters):
    """Fill the scene with everything the panel keeps; return what it must look like afterwards."""
    node, volume, expected = edited()
    world = nodes.world_of(volume)
    parameters.t1ce = volume
    parameters.flair = add_volume(image(seed=5), world, "case FLAIR", "flair")
    parameters.segmentation = node
    parameters.answer = segments.keep_answer(labelmap(), world, volume, node.GetName())
    parameters.uncertainty = add_volume(UNCERTAINTY, world, "Uncertainty of case")
    parameters.case_id, parameters.model_version, parameters.comment = "TCGA-01", "m0003", COMMENT
    parameters.label_set = LABELS.to_json()
    parameters.final, parameters.epochs = False, 25
    return expected, digests(parameters), looks(node)


def digests(parameters):
    return {role: digest(snapshot(getattr(parameters, role), role)) for role in ("t1ce", "flair")}


@pytest.mark.parametrize("ending", ["mrb", "mrml"])
def test_a_saved_scene_brings_the_whole_case_back(tmp_path, parameters_of, parameters, ending):
    expected, known, styles = fill(parameters)
    path = tmp_path / f"case.{ending}"
    if ending == "mrml":
        for node in slicer.util.getNodesByClass("vtkMRMLStorableNode"):
            if node.GetSaveWithScene() and not node.GetHideFromEditors() and node.GetName():
                endings = {"vtkMRMLSegmentationNode": "seg.nrrd", "vtkMRMLLinearTransformNode": "h5"}
                kind = endings.get(node.GetClassName(), "nrrd" if node.IsA("vtkMRMLVolumeNode") else "")
                assert not kind or slicer.util.saveNode(node, str(tmp_path / f"{node.GetID()}.{kind}"))
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScriptedModuleNode") is None
    slicer.util.loadScene(str(path))
    found = parameters_of(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScriptedModuleNode"))
    assert (found.t1, found.t2) == (None, None)
    assert digests(found) == known
    assert np.array_equal(back(found.segmentation, found.t1ce).array, expected)
    assert looks(found.segmentation) == styles
    assert np.array_equal(nodes.answer_of(found.answer, found.t1ce), labelmap())
    assert np.array_equal(slicer.util.arrayFromVolume(found.uncertainty), UNCERTAINTY)
    assert (found.case_id, found.model_version, found.comment) == ("TCGA-01", "m0003", COMMENT)
    assert LabelSet.from_json(found.label_set) == LABELS
    assert (found.final, found.epochs) == (False, 25)


def test_new_parameters_are_empty_unsuitable_values_are_refused_and_a_node_that_is_removed_is_none_again(parameters):
    names = ("t1", "t1ce", "t2", "flair", "segmentation", "answer", "uncertainty")
    assert [getattr(parameters, name) for name in names] == [None] * 7
    assert [parameters.case_id, parameters.model_version, parameters.comment, parameters.label_set] == [""] * 4
    assert (parameters.final, parameters.epochs) == (True, 0)
    volume, node = case()
    for name, other in (("segmentation", volume), ("t1ce", node)):
        with pytest.raises((TypeError, ValueError)):
            setattr(parameters, name, other)
    for epochs in (-1, 1001):
        with pytest.raises(ValueError, match="epochs"):
            parameters.epochs = epochs
    assert parameters.epochs == 0
    parameters.t1ce = volume
    slicer.mrmlScene.RemoveNode(volume)
    assert parameters.t1ce is None
