"""The scene without Qt: Slicer's own ``slicer.util`` works on it, and misuse is caught."""

import threading
from pathlib import Path

import pytest
import slicer

from tests.slicer_extension.harness import failures, mrml_scene


def test_every_scene_is_a_fresh_one(scene):
    add_a_node()
    folder = Path(slicer.app.temporaryPath)
    mrml_scene.stop()
    assert not folder.exists()
    assert mrml_scene.start() is slicer.mrmlScene is not scene
    assert slicer.util.getNodesByClass("vtkMRMLTextNode") == []


@pytest.mark.parametrize("path", ["app.temporaryFolder", "modules.segmentation", "app.layoutManager"])
def test_what_slicer_lacks_is_an_error(scene, path):
    owner, name = path.split(".")
    with pytest.raises(AttributeError):
        getattr(getattr(slicer, owner), name)


def add_a_node():
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")


def raise_in_an_observer():
    slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, lambda *_: 1 / 0)
    add_a_node()


def on_a_thread(work):
    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (raise_in_an_observer, "ZeroDivisionError"),
        (lambda: on_a_thread(lambda: 1 / 0), "ZeroDivisionError"),
        (lambda: on_a_thread(add_a_node), "of the MRML scene on the thread worker"),
    ],
    ids=["an exception in an observer", "an exception that ends a thread", "a scene changed by a worker thread"],
)
def test_a_failure_that_the_test_does_not_see_fails_it(fail, message):
    with pytest.raises(AssertionError, match=message), mrml_scene.running():
        fail()


def test_an_expected_failure_must_come_and_no_other():
    with pytest.raises(AssertionError, match="no failure was recorded"), failures.expect("boom"):
        pass
    with pytest.raises(AssertionError, match="other failures than expected"), failures.expect("boom"):
        failures.record("bang")


def test_only_text_can_be_translated(scene):
    from slicer.i18n import tr, translate

    assert tr("Segment") == translate("Toy", "Segment") == "Segment"
    with pytest.raises(TypeError, match="only text"):
        tr(3)
