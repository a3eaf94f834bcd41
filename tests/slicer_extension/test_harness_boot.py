"""The harness's scene: Slicer's own ``slicer.util`` works on it, and misuse is caught."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.slicer_extension.harness import boot, faults

_COS, _SIN = np.cos(0.4), np.sin(0.4)
#: Turned by 0.4 about z, 0.9 x 1.3 x 3.1 mm.
_OBLIQUE = np.array([[0.9 * _COS, -1.3 * _SIN, 0, 5], [0.9 * _SIN, 1.3 * _COS, 0, -7], [0, 0, 3.1, 11], [0, 0, 0, 1]])


def _volume(name: str = "FLAIR") -> Any:
    import slicer

    array = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    return slicer.util.addVolumeFromArray(array, _OBLIQUE, name)


def _ijk_to_ras(node: Any) -> Any:
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_a_saved_volume_is_read_back_as_it_was(scene: Any, tmp_path: Path, ending: str) -> None:
    import slicer

    saved = _volume()
    assert slicer.util.saveNode(saved, str(tmp_path / f"v{ending}"))

    loaded = slicer.util.loadVolume(str(tmp_path / f"v{ending}"))

    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded), slicer.util.arrayFromVolume(saved))
    np.testing.assert_allclose(_ijk_to_ras(loaded), _ijk_to_ras(saved), atol=1e-5)


def test_a_volume_that_is_not_there_is_an_error_with_its_name(scene: Any, tmp_path: Path) -> None:
    import slicer

    with pytest.raises(RuntimeError, match=r"nothing\.nrrd"):
        slicer.util.loadVolume(str(tmp_path / "nothing.nrrd"))


def test_segments_are_real(scene: Any) -> None:
    import slicer

    volume = _volume()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    node.GetSegmentation().AddEmptySegment("a", "Edema")
    mask = (slicer.util.arrayFromVolume(volume) > 5).astype(np.uint8)

    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, "a", volume)

    np.testing.assert_array_equal(slicer.util.arrayFromSegmentBinaryLabelmap(node, "a", volume), mask)


@pytest.mark.parametrize("ending", [".mrml", ".mrb"])
def test_a_scene_comes_back_from_its_file(scene: Any, tmp_path: Path, ending: str) -> None:
    import slicer

    _volume("kept")
    assert slicer.util.saveScene(str(tmp_path / f"scene{ending}"))
    slicer.mrmlScene.Clear(0)
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []

    slicer.util.loadScene(str(tmp_path / f"scene{ending}"))

    assert [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")] == ["kept"]


def test_the_slice_views_of_the_conventional_layout_show_a_volume(scene: Any) -> None:
    import slicer

    volume = _volume()

    slicer.util.setSliceViewerLayers(background=volume)

    shown = [node.GetBackgroundVolumeID() for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")]
    assert shown == [volume.GetID()] * 3
    assert slicer.mrmlScene.GetSingletonNode("Red", "vtkMRMLSliceNode").GetOrientation() == "Axial"


def test_terminologies_are_there(scene: Any) -> None:
    import slicer

    logic = slicer.modules.terminologies.logic()
    entry = slicer.vtkSlicerTerminologyEntry()

    context = "Segmentation category and type - 3D Slicer General Anatomy list"
    code = (
        "~SCT^49755003^Morphologically Altered Structure~SCT^79654002^Edema~^^~Anatomic codes - DICOM master list~^^~^^"
    )
    assert logic.DeserializeTerminologyEntry(context + code, entry)
    assert entry.GetTypeObject().GetCodeMeaning() == "Edema"


def test_every_scene_is_a_fresh_one(scene: Any) -> None:
    import slicer

    _volume()
    folder = slicer.app.temporaryPath
    boot.shut_down()
    assert not Path(folder).exists()

    assert boot.boot() is slicer.mrmlScene is not scene
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []


def test_the_application_has_no_attributes_that_slicer_lacks(scene: Any) -> None:
    import slicer

    with pytest.raises(AttributeError):
        slicer.app.temporaryFolder  # noqa: B018
    with pytest.raises(AttributeError):
        slicer.modules.segmentation  # noqa: B018


def test_an_exception_in_an_observer_fails_the_test(scene: Any) -> None:
    import slicer

    def broken(_caller: Any, _event: str) -> None:
        raise ValueError("broken observer")

    slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, broken)

    with faults.expect("broken observer"):
        _volume()


def test_a_scene_changed_by_a_worker_thread_fails_the_test(scene: Any) -> None:
    import slicer

    with faults.expect("on the thread worker"):
        thread = threading.Thread(target=lambda: slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode"), name="worker")
        thread.start()
        thread.join()


def test_an_exception_that_ends_a_thread_fails_the_test(scene: Any) -> None:
    with faults.expect("ended the thread"):
        thread = threading.Thread(target=lambda: (_ for _ in ()).throw(ValueError("ended the thread")))
        thread.start()
        thread.join()


def test_an_expected_fault_that_does_not_come_fails() -> None:
    with pytest.raises(AssertionError, match="no fault was recorded"), faults.expect("boom"):
        pass


def test_another_fault_than_the_expected_fails() -> None:
    with pytest.raises(AssertionError, match="other faults than expected"), faults.expect("boom"):
        faults.record("bang")


def test_translation_takes_text_only(scene: Any) -> None:
    from slicer.i18n import tr, translate

    assert tr("Segment") == translate("Toy", "Segment") == "Segment"
    with pytest.raises(TypeError, match="only text"):
        tr(3)
