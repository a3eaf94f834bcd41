"""A fresh MRML scene with what ``slicer.util`` expects around it: logics, ``slicer.app``, ``slicer.modules``.

No Qt here: the tests of the logic on MRML use this part alone.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import slicer
import vtk

from tests.slicer_extension.harness import faults, slicer_python
from tests.slicer_extension.harness.core_application import CoreApplication
from tests.slicer_extension.harness.modules import LoadableModule

#: Module name in Slicer -> its logic class. Colors come first: the others look for it.
_LOGICS = {
    "Colors": "vtkMRMLColorLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Models": "vtkSlicerModelsLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
}

#: Slice views of Slicer's conventional layout and what they show.
SLICE_VIEWS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}

_SCENE_EVENTS = ("NodeAddedEvent", "NodeRemovedEvent", "StartCloseEvent", "EndCloseEvent", "StartImportEvent")


def boot() -> Any:
    """Make a fresh scene the current one and return it; call :func:`shut_down` before the next.

    Sets ``slicer.mrmlScene``, ``slicer.app``, ``slicer.modules`` and leaves nothing of an earlier scene behind.

    Returns:
        The ``vtkMRMLScene``, with the default color tables and the three slice views of the conventional layout.
    """
    slicer_python.install()
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerApplicationLogic()
    temporary = tempfile.mkdtemp(prefix="tumorloop-slicer-")
    slicer.mrmlScene = scene
    slicer.modules = SimpleNamespace()
    slicer.app = CoreApplication(logic, temporary)
    logic.SetMRMLScene(scene)
    # Slicer's own texts and colors live in its share folder, which the wheel does not have
    logic.SetTemporaryPath(temporary)
    scene.SetRootDirectory(temporary)
    _add_file_cache(scene, temporary)
    for name, class_name in _LOGICS.items():
        _add_module(name, class_name, logic, scene)
    _add_slice_views(scene)
    for event in _SCENE_EVENTS:
        scene.AddObserver(getattr(slicer.vtkMRMLScene, event), _check_thread)
    return scene


def shut_down() -> None:
    """Clear the scene of :func:`boot` and take ``slicer.mrmlScene``, ``slicer.app``, ``slicer.modules`` away again."""
    if getattr(slicer, "mrmlScene", None) is None:
        return
    scene, application = slicer.mrmlScene, slicer.app
    vtk.vtkObject.GlobalWarningDisplayOff()  # logics warn about each other's scene being gone
    scene.Clear(1)
    scene.RemoveAllObservers()
    logic = application.applicationLogic()
    for module in reversed(list(vars(slicer.modules).values())):
        if isinstance(module, LoadableModule):
            module.logic().SetMRMLScene(None)
            logic.SetModuleLogic(module.name, None)
    logic.SetMRMLScene(None)
    vtk.vtkObject.GlobalWarningDisplayOn()
    shutil.rmtree(application.temporaryPath, ignore_errors=True)
    for name in ("mrmlScene", "app", "modules"):
        delattr(slicer, name)


def _add_module(name: str, class_name: str, application_logic: Any, scene: Any) -> None:
    """Make one of Slicer's own modules known: its logic on the scene, and ``slicer.modules.<name>``."""
    module_logic = application_logic.GetColorLogic() if name == "Colors" else getattr(slicer, class_name)()
    application_logic.SetModuleLogic(name, module_logic)
    if name == "Terminologies":
        module_logic.SetModuleShareDirectory(str(Path(__file__).parent / "terminologies"))
    module_logic.SetMRMLApplicationLogic(application_logic)
    module_logic.SetMRMLScene(scene)
    if name == "Colors":
        module_logic.AddDefaultColorNodes()
    setattr(slicer.modules, name.lower(), LoadableModule(name, module_logic))


def _add_file_cache(scene: Any, folder: str) -> None:
    """Give the scene what it needs to open scene bundles (.mrb)."""
    cache, manager = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
    cache.SetRemoteCacheDirectory(folder)
    cache.SetMRMLScene(scene)
    manager.SetCacheManager(cache)
    scene.SetCacheManager(cache)
    scene.SetDataIOManager(manager)


def _add_slice_views(scene: Any) -> None:
    """Add a slice and a composite node per slice view, as the layout manager of the desktop does."""
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    for name, orientation in SLICE_VIEWS.items():
        for class_name in ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode"):
            node = slicer.vtkMRMLScene.CreateNodeByClass(scene, class_name)
            node.UnRegister(None)
            node.SetName(name)
            node.SetSingletonTag(name)
            node.SetLayoutName(name)
            scene.AddNode(node)
            if class_name == "vtkMRMLSliceNode":
                node.SetOrientation(orientation)


def _check_thread(_scene: Any, event: str) -> None:
    """Note a change of the scene from a worker thread: in the desktop that crashes, sooner or later."""
    if threading.current_thread() is not threading.main_thread():
        faults.record(f"{event} of the MRML scene on the thread {threading.current_thread().name}")
