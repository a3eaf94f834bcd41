from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import vtk
from TumorLoopLib.scene import geometry, roles, volumes
from TumorLoopLib.scene.volumes import UnusableVolume, VolumeSnapshot, add_volume, digest, problem_of, snapshot

from tests.slicer_extension.scene.nodes import add_nonlinear, add_transform, image, make_volume, moved_by, oblique

pytestmark = pytest.mark.usefixtures("scene")


def make_node(kind, name):
    return slicer.mrmlScene.AddNewNodeByClass(kind, name)


def picture(name="T2", scalar_type=vtk.VTK_SHORT, components=1, sides=(20, 21, 22), kind="vtkMRMLScalarVolumeNode"):
    node, data = make_node(kind, name), vtk.vtkImageData()
    data.SetDimensions(*sides)
    data.AllocateScalars(scalar_type, components)
    node.SetAndObserveImageData(data)
    return node


def one_voxel(value):
    array = image().astype(np.float32)
    array[3, 4, 5] = value
    return make_volume("FLAIR", array)


def removed():
    node = make_volume()
    slicer.mrmlScene.RemoveNode(node)
    return node


def without_image():
    node = make_node("vtkMRMLScalarVolumeNode", "T1")
    assert problem_of(node).startswith('"T1" has no image data.')
    node.SetAndObserveImageData(vtk.vtkImageData())
    return node


def labelmap_node():
    return slicer.util.addVolumeFromArray(image(), name="tumor", nodeClassName="vtkMRMLLabelMapVolumeNode")


def under(*matrices, nonlinear=False):
    """A volume under linear transforms, and a nonlinear one above them."""
    node = moved = make_volume()
    for matrix in matrices:
        moved = add_transform(matrix, moved)
    if nonlinear:
        add_nonlinear(moved)
    return node


NOT_NUMBERS = '"FLAIR" contains voxels that are not numbers'
NONLINEAR = '"T1ce" is under a nonlinear transform. Harden it first: Data module, right-click it, "Harden transform".'
SMALL = '"scout" is too small: 256 x 256 x 15 voxels, and each side needs 16.'
BLANK = '"T2" is blank: all its voxels have the value 7. Choose another volume.'
SEGMENTATION = '"tumor" is a segmentation, not an image.'
PROBLEMS = {
    "none": (lambda: None, "No volume is chosen."),
    "removed": (removed, "No volume is chosen."),
    "no image": (without_image, '"T1" has no image data.'),
    "color": (lambda: picture("photo", components=3, kind="vtkMRMLVectorVolumeNode"), '"photo" has 3 values per voxel'),
    "bits": (lambda: picture("mask", vtk.VTK_BIT), '"mask" holds one bit per voxel'),
    "slice": (lambda: picture("scout", sides=(256, 256, 15)), SMALL),
    "nan": (lambda: one_voxel(np.nan), NOT_NUMBERS),
    "inf": (lambda: one_voxel(np.inf), NOT_NUMBERS),
    "-inf": (lambda: one_voxel(-np.inf), NOT_NUMBERS),
    "blank": (lambda: make_volume("T2", np.full((20, 20, 20), 7, np.int16)), BLANK),
    "labelmap": (labelmap_node, SEGMENTATION),
    "segmentation": (lambda: make_node("vtkMRMLSegmentationNode", "tumor"), SEGMENTATION),
    "model": (lambda: make_node("vtkMRMLModelNode", "skull"), '"skull" is not an image volume. Choose another one.'),
    "nonlinear": (lambda: under(nonlinear=True), NONLINEAR),
    "nonlinear above linear": (lambda: under(moved_by(), nonlinear=True), NONLINEAR),
    "flat": (lambda: under(np.diag([1.0, 0.0, 1.0, 1.0])), '"T1ce" has no valid geometry'),
}


@pytest.mark.parametrize(("make", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_volume_that_cannot_be_used_is_named_and_gives_no_snapshot(make, message):
    node = make()
    assert problem_of(node).startswith(message)
    with pytest.raises(UnusableVolume) as caught:
        snapshot(node, "t1ce")
    assert str(caught.value) == problem_of(node)


@pytest.mark.parametrize("shape", [(20, 28, 34), (16, 16, 16)])
def test_a_snapshot_holds_voxels_and_geometry_and_does_not_follow_changes(shape):
    node = make_volume(array=image(shape))
    assert problem_of(node) == ""
    taken = snapshot(node, "t1ce")
    slicer.util.arrayFromVolume(node)[:] = 0
    assert (taken.role, taken.node_id, taken.name) == ("t1ce", node.GetID(), "T1ce")
    assert taken.array.dtype == np.int16
    assert np.array_equal(taken.array, image(shape))
    assert np.allclose(taken.ijk_to_ras, oblique(), atol=1e-9)


def test_linear_parent_transforms_are_part_of_the_geometry_as_in_slicer():
    node = under(moved_by(11.0), moved_by(-30.0, (1.0, 2.0, 3.0)))
    found = snapshot(node, "t1ce").ijk_to_ras
    assert np.allclose(found, moved_by(-30.0, (1.0, 2.0, 3.0)) @ moved_by(11.0) @ oblique(), atol=1e-6)
    ijk = np.array([5.0, 9.0, 2.0, 1.0])
    local, world = geometry.local_ijk_to_ras(node) @ ijk, [0.0, 0.0, 0.0]
    node.TransformPointToWorld(local[:3], world)
    assert np.allclose((found @ ijk)[:3], world, atol=1e-6)


def changed(**fields):
    values = {"role": "t1", "node_id": "a", "name": "b", "array": image(), "ijk_to_ras": oblique()}
    return VolumeSnapshot(**{**values, **fields})


def test_the_digest_is_of_voxels_type_shape_and_geometry_but_not_of_names_rounding_and_memory_layout():
    assert digest(changed()) == digest(changed(role="t2", node_id="x", name="y"))
    assert digest(changed(ijk_to_ras=np.eye(4))) == digest(changed(ijk_to_ras=np.eye(4) - 1e-9))
    assert digest(changed(array=np.asfortranarray(image()))) == digest(changed())
    assert len(digest(changed())) == 64
    one_voxel = image()
    one_voxel[-1, -1, -1] += 1
    arrays = [image(), one_voxel, image().astype(np.int32), image().view(np.uint16), image().reshape(28, 20, 34)]
    others = [*(changed(array=array) for array in arrays), changed(ijk_to_ras=oblique(origin=(-31.5, 12.25, 7.001)))]
    assert len({digest(one) for one in others}) == len(others)


def test_texts_are_name_series_description_and_file_name(tmp_path, monkeypatch):
    series = {("1.2.3", "0008,103E"): "SAG T1 POST GD"}
    database = SimpleNamespace(isOpen=True, instanceValue=lambda uid, tag: series.get((uid, tag), ""))
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    assert volumes.texts_of(make_volume("only a name")) == ["only a name"]
    slicer.util.saveNode(make_volume("scan"), str(tmp_path / "AX T2 FLAIR.nrrd"))
    node = slicer.util.loadVolume(str(tmp_path / "AX T2 FLAIR.nrrd"))
    node.SetName("my volume")
    assert volumes.texts_of(node) == ["my volume", "AX T2 FLAIR.nrrd"]
    node.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    assert volumes.texts_of(node) == ["my volume", "SAG T1 POST GD", "AX T2 FLAIR.nrrd"]


def test_a_t1_from_the_database_whose_header_names_an_agent_is_one_with_contrast(monkeypatch):
    agents = {"1.2.3": "Gadobutrol"}
    values = {"0008,103E": "AX T1 SE", "0020,000D": "1.2"}
    database = SimpleNamespace(
        isOpen=True, instanceValue=lambda uid, tag: agents.get(uid, "") if tag == "0018,0010" else values[tag]
    )
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    nodes = [make_volume(f"{number}: AX T1 SE") for number in (3, 7)]
    for node, uid in zip(nodes, ("1.2.2", "1.2.3"), strict=True):
        node.SetAttribute("DICOM.instanceUIDs", uid)
    found = roles.recognize({node.GetID(): volumes.texts_of(node) for node in nodes})
    assert found.roles == {"t1": nodes[0].GetID(), "t1ce": nodes[1].GetID()}


def test_volumes_from_the_server_have_their_geometry_their_role_and_a_name_of_their_own():
    added = [add_volume(image(), oblique(), "case 7", "t2") for _ in range(3)]
    assert len({node.GetName() for node in added}) == 3
    taken = snapshot(added[0], "t2")
    assert np.array_equal(taken.array, image())
    assert np.allclose(taken.ijk_to_ras, oblique(), atol=1e-9)
    assert added[0].GetDisplayNode() is not None
    assert (volumes.texts_of(added[0]), volumes.came_from_server(added[0])) == (["t2"], True)
    uncertainty = add_volume(image(), oblique(), "map of case 7")
    assert (volumes.texts_of(uncertainty), volumes.came_from_server(uncertainty)) == (["map of case 7"], False)
