from pathlib import Path

import pytest
import slicer

from tests.slicer_extension.harness import mrml_scene
from tests.slicer_extension.harness_tests import on_a_thread


def add_a_node():
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")


def test_every_scene_is_a_fresh_one(scene):
    add_a_node()
    folder = Path(slicer.app.temporaryPath)
    mrml_scene.stop()
    assert not folder.exists()
    assert mrml_scene.start() is slicer.mrmlScene is not scene
    assert slicer.util.getNodesByClass("vtkMRMLTextNode") == []


def test_what_slicer_lacks_is_an_error_and_only_text_can_be_translated(scene):
    from slicer.i18n import tr, translate

    for owner, name in (
        (slicer.app, "temporaryFolder"),
        (slicer.modules, "segmentation"),
        (slicer.app, "layoutManager"),
    ):
        with pytest.raises(AttributeError):
            getattr(owner, name)
    assert tr("Segment") == translate("Toy", "Segment") == "Segment"
    with pytest.raises(TypeError, match="only text"):
        tr(3)


def raise_in_an_observer():
    slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, lambda *_: 1 / 0)
    add_a_node()


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (raise_in_an_observer, "ZeroDivisionError"),
        (lambda: on_a_thread(lambda: 1 / 0), "ZeroDivisionError"),
        (lambda: on_a_thread(add_a_node), "of the MRML scene on the thread worker"),
    ],
)
def test_a_failure_that_the_test_does_not_see_fails_it(fail, message):
    with pytest.raises(AssertionError, match=message), mrml_scene.running():
        fail()
