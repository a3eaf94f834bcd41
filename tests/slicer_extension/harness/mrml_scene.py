"""A fresh MRML scene with what ``slicer.util`` expects around it, without Qt; Slicer's names do what Slicer's do."""

import contextlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import slicer
import vtk

from tests.slicer_extension.harness import failures, parameter_node, scripted_module

#: Module name in Slicer -> its logic class. Colors come first: the others look for it.
_LOGICS = {
    "Colors": "vtkMRMLColorLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
}
_SCENE_EVENTS = ("NodeAddedEvent", "NodeRemovedEvent", "StartCloseEvent", "EndCloseEvent", "StartImportEvent")
#: Of ``vtkSlicerVolumesLogic::LoadingOptions``.
_AUTO_WINDOW_LEVEL = 8


class FileManager:
    """``slicer.app.coreIOManager()``, where ``slicer.util.loadVolume`` and the like end: MRML's own storage nodes."""

    def fileWriterFileType(self, node: Any) -> str:
        return "SegmentationFile" if node.IsA("vtkMRMLSegmentationNode") else "VolumeFile"

    def loadNodes(self, kind: str, properties: Mapping[str, Any], loaded: Any, messages: Any = None) -> bool:
        path = str(properties["fileName"])
        reader = {"VolumeFile": _load_volume, "SegmentationFile": _load_segmentation, "SceneFile": _load_scene}[kind]
        node = reader(path, properties)
        if node is not None and node is not slicer.mrmlScene:
            loaded.AddItem(node)
        return node is not None

    def saveNodes(self, kind: str, properties: Mapping[str, Any], messages: Any = None) -> bool:
        path, scene = str(properties["fileName"]), slicer.mrmlScene
        if kind == "SceneFile":
            scene.SetRootDirectory(str(Path(path).parent))
            return bool(scene.WriteToMRB(path) if path.endswith(".mrb") else scene.Commit(path))
        node = scene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(path)
        return bool(node.GetStorageNode().WriteData(node))


def _load_volume(path: str, properties: Mapping[str, Any]) -> Any:
    name = slicer.mrmlScene.GenerateUniqueName(Path(path).name.partition(".")[0])
    node = slicer.modules.volumes.logic().AddArchetypeVolume(path, name, _AUTO_WINDOW_LEVEL)
    if node is not None and properties.get("show", True):
        slicer.app.applicationLogic().GetSelectionNode().SetActiveVolumeID(node.GetID())
        slicer.app.applicationLogic().PropagateVolumeSelection()
    return node


def _load_segmentation(path: str, _properties: Mapping[str, Any]) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.AddDefaultStorageNode(path)
    node.CreateDefaultDisplayNodes()
    return node if node.GetStorageNode().ReadData(node) else None


def _load_scene(path: str, _properties: Mapping[str, Any]) -> Any:
    scene = slicer.mrmlScene
    if path.endswith(".mrb"):
        return scene if scene.ReadFromMRB(path, False) else None
    scene.SetURL(path)
    scene.SetRootDirectory(str(Path(path).parent))
    return scene if scene.Import() else None


def start() -> Any:
    """Make a fresh scene with ``slicer.app`` and ``slicer.modules``, and return it; :func:`stop` ends it."""
    install()
    scene, logic = slicer.vtkMRMLScene(), slicer.vtkSlicerApplicationLogic()
    temporary = tempfile.mkdtemp(prefix="tumorloop-slicer-")
    slicer.mrmlScene, slicer.modules = scene, SimpleNamespace()
    slicer.app = SimpleNamespace(
        applicationName="Slicer",
        temporaryPath=temporary,
        applicationLogic=lambda: logic,
        coreIOManager=FileManager,
        # a QProcessEnvironment of the variables from before Slicer changed them
        startupEnvironment=lambda: SimpleNamespace(keys=lambda: list(os.environ), value=os.environ.get),
    )
    logic.SetMRMLScene(scene)
    # Slicer's own texts and colors are in its share folder, which the wheel does not have
    logic.SetTemporaryPath(temporary)
    scene.SetRootDirectory(temporary)
    # what opens scene bundles (.mrb)
    cache, manager = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
    cache.SetRemoteCacheDirectory(temporary)
    cache.SetMRMLScene(scene)
    manager.SetCacheManager(cache)
    scene.SetCacheManager(cache)
    scene.SetDataIOManager(manager)
    for name, class_name in _LOGICS.items():
        module_logic = logic.GetColorLogic() if name == "Colors" else getattr(slicer, class_name)()
        logic.SetModuleLogic(name, module_logic)
        module_logic.SetMRMLApplicationLogic(logic)
        module_logic.SetMRMLScene(scene)
        if name == "Colors":
            module_logic.AddDefaultColorNodes()
        setattr(slicer.modules, name.lower(), SimpleNamespace(logic=lambda logic=module_logic: logic))
    for view in ("Red", "Yellow", "Green"):  # the slice views of Slicer's conventional layout
        node = slicer.vtkMRMLSliceCompositeNode()
        node.SetSingletonTag(view)
        node.SetLayoutName(view)
        scene.AddNode(node)
    for event in _SCENE_EVENTS:
        scene.AddObserver(getattr(scene, event), _check_thread)
    return scene


def stop() -> None:
    scene, application = slicer.mrmlScene, slicer.app
    vtk.vtkObject.GlobalWarningDisplayOff()  # logics warn that each other's scene is gone
    scene.Clear(1)
    scene.RemoveAllObservers()
    for name in reversed(_LOGICS):
        getattr(slicer.modules, name.lower()).logic().SetMRMLScene(None)
        application.applicationLogic().SetModuleLogic(name, None)
    application.applicationLogic().SetMRMLScene(None)
    vtk.vtkObject.GlobalWarningDisplayOn()
    shutil.rmtree(application.temporaryPath, ignore_errors=True)
    for name in ("mrmlScene", "app", "modules"):
        delattr(slicer, name)


@contextlib.contextmanager
def running() -> Iterator[Any]:
    """A scene for the time of the block; failures in it raise at its end."""
    with failures.recording():
        yield start()
        stop()


def install() -> None:
    """Make ``slicer.i18n``, ``slicer.ScriptedLoadableModule`` and ``slicer.parameterNodeWrapper`` importable."""
    bases = {f"ScriptedLoadableModule{part}" for part in ("", "Widget", "Logic", "Test")}
    for name, source, public in (
        ("i18n", scripted_module, {"tr", "translate"}),
        ("ScriptedLoadableModule", scripted_module, bases),
        ("parameterNodeWrapper", parameter_node, {"parameterNodeWrapper", "WithinRange"}),
    ):
        module = sys.modules.setdefault(f"slicer.{name}", ModuleType(f"slicer.{name}"))
        vars(module).update({one: getattr(source, one) for one in public})
        setattr(slicer, name, module)


def _check_thread(_scene: Any, event: str) -> None:
    """Record a change of the scene from a worker thread: in Slicer that crashes, sooner or later."""
    if threading.current_thread() is not threading.main_thread():
        failures.record(f"{event} of the MRML scene on the thread {threading.current_thread().name}")
