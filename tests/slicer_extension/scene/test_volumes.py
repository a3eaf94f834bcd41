import numpy as np
import pytest
import slicer
import vtk
from TumorLoopLib.scene import geometry
from TumorLoopLib.scene.volumes import (
    UnusableVolume,
    VolumeSnapshot,
    add_volume,
    digest,
    problem_of,
    snapshot,
    texts_of,
)

from tests.slicer_extension.scene.nodes import add_bending, add_transform, image, make_volume, moved_by, oblique

pytestmark = pytest.mark.usefixtures("scene")


def bare_volume(name="T2", scalar_type=vtk.VTK_SHORT, components=1, sides=(20, 21, 22)):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    picture = vtk.vtkImageData()
    picture.SetDimensions(*sides)
    picture.AllocateScalars(scalar_type, components)
    node.SetAndObserveImageData(picture)
    return node


def test_a_usual_volume_has_no_problem():
    assert problem_of(make_volume()) == ""


def test_no_volume_is_a_problem():
    assert problem_of(None) == "No volume is chosen."


def test_a_volume_that_was_removed_from_the_scene_is_none():
    node = make_volume()
    slicer.mrmlScene.RemoveNode(node)
    assert problem_of(node) == "No volume is chosen."


def test_a_volume_without_image_data_says_so():
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T1")
    assert problem_of(node).startswith('"T1" has no image data.')
    node.SetAndObserveImageData(vtk.vtkImageData())
    assert problem_of(node).startswith('"T1" has no image data.')


def test_a_color_image_says_how_many_values_a_voxel_has():
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    node.SetAndObserveImageData(bare_volume(components=3).GetImageData())
    assert problem_of(node).startswith('"photo" has 3 values per voxel')


def test_a_mask_of_bits_is_no_image():
    assert problem_of(bare_volume("mask", vtk.VTK_BIT)).startswith('"mask" holds one bit per voxel')


def test_a_slice_is_too_small():
    problem = problem_of(bare_volume("scout", sides=(256, 256, 15)))
    assert problem.startswith('"scout" is too small: 256 x 256 x 15 voxels, and each side needs 16.')
    assert problem_of(make_volume(array=image((16, 16, 16)))) == ""


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_one_voxel_that_is_no_number_is_a_problem(odd):
    array = image().astype(np.float32)
    array[3, 4, 5] = odd
    assert problem_of(make_volume("FLAIR", array)).startswith('"FLAIR" contains voxels that are not numbers')


def test_a_blank_volume_is_a_problem():
    problem = problem_of(make_volume("T2", np.full((20, 20, 20), 7, np.int16)))
    assert problem == '"T2" is blank: all its voxels have the value 7. Choose another volume.'


@pytest.mark.parametrize("kind", ["vtkMRMLLabelMapVolumeNode", "vtkMRMLSegmentationNode"])
def test_a_segmentation_is_no_image(kind):
    node = slicer.mrmlScene.AddNewNodeByClass(kind, "tumor")
    if kind == "vtkMRMLLabelMapVolumeNode":
        slicer.util.updateVolumeFromArray(node, image())
    assert problem_of(node).startswith('"tumor" is a segmentation, not an image.')


def test_another_kind_of_node_is_no_image():
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "skull")
    assert problem_of(node) == '"skull" is not an image volume. Choose another one.'


def test_a_transform_that_bends_says_to_harden_it():
    node = make_volume()
    add_bending(node)
    assert problem_of(node) == (
        '"T1ce" is under a nonlinear transform. Harden it first: Data module, right-click it, "Harden transform".'
    )


def test_a_bending_transform_above_a_linear_one_is_found():
    node = make_volume()
    add_bending(add_transform(moved_by(), node))
    assert "nonlinear" in problem_of(node)


def test_a_volume_squeezed_flat_has_no_place():
    node = make_volume()
    add_transform(np.diag([1.0, 0.0, 1.0, 1.0]), node)
    assert problem_of(node).startswith('"T1ce" has no valid geometry')


def test_a_snapshot_holds_voxels_and_place():
    node = make_volume()
    taken = snapshot(node, "t1ce")
    assert (taken.role, taken.node_id, taken.name) == ("t1ce", node.GetID(), "T1ce")
    assert taken.array.dtype == np.int16
    assert np.array_equal(taken.array, image())
    assert np.allclose(taken.ijk_to_ras, oblique(), atol=1e-9)


def test_a_snapshot_stays_as_it_was_when_the_volume_changes():
    node = make_volume()
    taken = snapshot(node, "t1ce")
    slicer.util.arrayFromVolume(node)[:] = 0
    assert np.array_equal(taken.array, image())


def test_linear_parent_transforms_are_part_of_the_place():
    node = make_volume()
    inner = add_transform(moved_by(11.0), node)
    add_transform(moved_by(-30.0, (1.0, 2.0, 3.0)), inner)
    expected = moved_by(-30.0, (1.0, 2.0, 3.0)) @ moved_by(11.0) @ oblique()
    assert np.allclose(snapshot(node, "t1ce").ijk_to_ras, expected, atol=1e-6)


def test_the_place_is_where_slicer_says_a_voxel_is():
    node = make_volume()
    add_transform(moved_by(), node)
    ijk = np.array([5.0, 9.0, 2.0, 1.0])
    local, world = geometry.local_ijk_to_ras(node) @ ijk, [0.0, 0.0, 0.0]
    node.TransformPointToWorld(local[:3], world)
    assert np.allclose((snapshot(node, "t1ce").ijk_to_ras @ ijk)[:3], world, atol=1e-6)


def test_a_volume_with_a_problem_gives_no_snapshot():
    node = make_volume()
    add_bending(node)
    with pytest.raises(UnusableVolume, match="nonlinear"):
        snapshot(node, "t1ce")
    with pytest.raises(UnusableVolume, match="No volume is chosen"):
        snapshot(None, "t1")


def changed(**fields):
    values = {"role": "t1", "node_id": "a", "name": "b", "array": image(), "ijk_to_ras": oblique()}
    return VolumeSnapshot(**{**values, **fields})


def test_the_same_image_has_the_same_digest_whatever_it_is_called():
    assert digest(changed()) == digest(changed(role="t2", node_id="x", name="y"))
    assert len(digest(changed())) == 64


def test_rounding_of_the_place_does_not_change_the_digest():
    assert digest(changed(ijk_to_ras=np.eye(4))) == digest(changed(ijk_to_ras=np.eye(4) - 1e-9))


def test_voxels_type_shape_and_place_change_the_digest():
    one_voxel = image()
    one_voxel[-1, -1, -1] += 1
    others = [
        changed(),
        changed(array=one_voxel),
        changed(array=image().astype(np.int32)),
        changed(array=image().view(np.uint16)),
        changed(array=image().reshape(28, 20, 34)),
        changed(ijk_to_ras=oblique(origin=(-31.5, 12.25, 7.001))),
    ]
    assert len({digest(one) for one in others}) == len(others)


def test_the_memory_layout_does_not_change_the_digest():
    assert digest(changed(array=np.asfortranarray(image()))) == digest(changed())


def test_texts_are_name_and_file_name(tmp_path):
    slicer.util.saveNode(make_volume("scan"), str(tmp_path / "AX T2 FLAIR.nrrd"))
    node = slicer.util.loadVolume(str(tmp_path / "AX T2 FLAIR.nrrd"))
    node.SetName("my volume")
    assert texts_of(node) == ["my volume", "AX T2 FLAIR.nrrd"]
    assert texts_of(make_volume("only a name")) == ["only a name"]


def test_the_series_description_comes_from_the_dicom_database(monkeypatch):
    class Database:
        def instanceValue(self, uid, tag):
            return {("1.2.3", "0008,103E"): "SAG T1 POST GD"}.get((uid, tag), "")

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    node = make_volume("Volume_1")
    assert texts_of(node) == ["Volume_1"]
    node.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    assert texts_of(node) == ["Volume_1", "SAG T1 POST GD"]


def test_a_volume_from_the_server_is_shown_where_it_lies_and_knows_its_role():
    node = add_volume(image(), oblique(), "case 7", "t2")
    taken = snapshot(node, "t2")
    assert np.array_equal(taken.array, image())
    assert np.allclose(taken.ijk_to_ras, oblique(), atol=1e-9)
    assert node.GetDisplayNode() is not None
    assert texts_of(node) == ["t2"]
    assert texts_of(add_volume(image(), oblique(), "map of case 7")) == ["map of case 7"]


def test_shown_volumes_do_not_share_a_name():
    names = {add_volume(image(), oblique(), "case 7").GetName() for _ in range(3)}
    assert len(names) == 3
