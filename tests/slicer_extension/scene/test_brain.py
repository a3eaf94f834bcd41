"""The brain mask in the scene: an outline on a grid of its own, and the voxels that come back from it."""

import numpy as np
import pytest
import slicer
from TumorLoopLib.scene import brain
from TumorLoopLib.scene.segment_copy import combine

from tests.slicer_extension.scene.nodes import add_transform, ball, erase, make_volume, moved_by, oblique

pytestmark = pytest.mark.usefixtures("scene")

SHAPE = (40, 44, 48)
MATRIX = oblique((1.0, 1.0, 1.0), (5.0, -3.0, 2.0), (-20.0, -18.0, -25.0))


def add(mask):
    reference = make_volume()
    add_transform(moved_by(), reference)
    return reference, brain.add_brain(mask, MATRIX, reference, "Brain", "abc")


def test_a_mask_comes_back_voxel_by_voxel_on_its_own_grid_also_after_an_edit_and_a_saved_scene(tmp_path):
    mask = ball(SHAPE, (20, 21, 22), 14).astype(np.uint8)
    reference, node = add(mask)
    found = combine(brain.copy_of(node))
    assert np.array_equal(found.array, mask)
    assert np.allclose(found.ijk_to_ras, MATRIX, atol=1e-9)
    assert node.GetParentTransformNode() is reference.GetParentTransformNode()
    assert (brain.digest_of(node), brain.was_edited(node)) == ("abc", False)
    before = brain.last_change(node)
    erase(node, np.s_[:5])
    assert brain.last_change(node) > before
    mask[6:11] = 0
    assert np.array_equal(combine(brain.copy_of(node)).array, mask)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    (node,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert np.array_equal(combine(brain.copy_of(node)).array, mask)


def test_the_mask_is_an_outline_and_effects_draw_on_its_grid_instead_of_that_of_thick_slices():
    _reference, node = add(ball(SHAPE, (20, 21, 22), 14).astype(np.uint8))
    display, segment_id = node.GetDisplayNode(), node.GetSegmentation().GetNthSegmentID(0)
    assert not display.GetSegmentVisibility2DFill(segment_id)
    assert display.GetSegmentVisibility2DOutline(segment_id)
    image = slicer.vtkOrientedImageData()
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    geometry = node.GetSegmentation().GetConversionParameter(name)
    assert slicer.vtkSegmentationConverter.DeserializeImageGeometry(geometry, image, False)
    assert image.GetDimensions() == SHAPE[::-1]
    assert np.allclose(image.GetSpacing(), 1.0)
