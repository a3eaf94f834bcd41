"""Transforms of the registration: where a volume is shown, and from where it is sent."""

import numpy as np
import pytest
import slicer
from TumorLoopLib.scene import alignment, geometry
from TumorLoopLib.scene.volumes import snapshot

from tests.slicer_extension.scene.nodes import add_nonlinear, add_transform, make_volume, moved_by, world_of

pytestmark = pytest.mark.usefixtures("scene")

#: From a place in the reference to the same place in the moved volume.
FOUND = moved_by(7.0, (3.0, -11.0, 5.5))


def placed(*, under_transform=False):
    """A volume that was sent and placed, and where it was sent."""
    volume = make_volume("T2")
    if under_transform:
        add_transform(moved_by(-9.0), volume)
    sent = world_of(volume)
    alignment.place(volume, sent, FOUND, "T1ce")
    return volume, sent


def transforms():
    return slicer.util.getNodesByClass("vtkMRMLLinearTransformNode")


@pytest.mark.parametrize("under_transform", [False, True])
def test_a_volume_is_shown_on_the_reference_and_sent_where_it_was_scanned(under_transform):
    volume, sent = placed(under_transform=under_transform)
    assert np.allclose(world_of(volume), np.linalg.inv(FOUND) @ sent, atol=1e-9)
    assert np.allclose(snapshot(volume, "t2").ijk_to_ras, sent, atol=1e-9)
    assert alignment.transform_of(volume).GetName() == "T2 to T1ce"
    alignment.show(volume, False)
    assert not alignment.shown([volume])
    assert np.allclose(world_of(volume), sent, atol=1e-9)
    alignment.show(volume, True)
    assert alignment.shown([volume])
    assert np.allclose(snapshot(volume, "t2").ijk_to_ras, sent, atol=1e-9)
    alignment.place(volume, sent, np.eye(4), "T1ce")  # the next answer
    assert np.allclose(world_of(volume), sent, atol=1e-9)
    assert len(transforms()) == 1 + under_transform
    alignment.remove(volume)
    assert (len(transforms()), alignment.shown([volume])) == (under_transform, None)
    assert np.allclose(world_of(volume), sent, atol=1e-9)


@pytest.mark.parametrize("visible", [True, False])
def test_a_transform_that_the_user_has_corrected_is_where_the_volume_is_sent_from_then_on(visible):
    volume, _sent = placed(under_transform=True)
    transform, correction = alignment.transform_of(volume), moved_by(2.0, (1.0, 0.0, -2.0))
    own = slicer.util.arrayFromTransformMatrix(transform)
    transform.SetMatrixTransformToParent(geometry.matrix_of(own @ correction))
    corrected = world_of(volume)
    alignment.show(volume, visible)
    assert np.allclose(snapshot(volume, "t2").ijk_to_ras, corrected, atol=1e-6)
    alignment.place(volume, corrected, moved_by(0.5, (0.1, 0.2, 0.3)), "T1ce")
    assert np.allclose(snapshot(volume, "t2").ijk_to_ras, corrected, atol=1e-6)
    assert not np.allclose(world_of(volume), corrected, atol=1e-3)


@pytest.mark.parametrize("change", ["another transform", "hardened", "spacing"])
def test_a_volume_that_the_user_has_moved_otherwise_is_sent_where_it_is(change):
    volume, _sent = placed()
    if change == "another transform":
        add_transform(moved_by(20.0), volume)
    elif change == "hardened":
        slicer.vtkSlicerTransformLogic().hardenTransform(volume)
    else:
        volume.SetSpacing(1.0, 1.0, 1.0)
    assert np.allclose(snapshot(volume, "t2").ijk_to_ras, world_of(volume), atol=1e-9)
    assert alignment.shown([volume]) is None
    alignment.show(volume, True)
    alignment.remove(volume)
    assert np.allclose(snapshot(volume, "t2").ijk_to_ras, world_of(volume), atol=1e-9)


def test_a_nonlinear_transform_is_left_alone():
    volume, sent = placed()
    add_nonlinear(volume)
    alignment.place(volume, sent, FOUND, "T1ce")
    assert alignment.ijk_to_ras_to_send(volume) is None
    assert alignment.shown([volume]) is None


def test_a_saved_scene_brings_the_alignment_back(tmp_path):
    volume, sent = placed(under_transform=True)
    shown = world_of(volume)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    (volume,) = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert alignment.shown([volume])
    assert np.allclose(world_of(volume), shown, atol=1e-3)
    assert np.allclose(snapshot(volume, "t2").ijk_to_ras, sent, atol=1e-3)
