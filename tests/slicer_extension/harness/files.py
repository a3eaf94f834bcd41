"""Stand-in of Slicer's ``coreIOManager``: reads and writes files of nodes through MRML's own storage nodes.

The real one asks every reader how sure it is; here the file name decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import slicer
import vtk

_VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".img", ".hdr")
_SEGMENTATIONS = (".seg.nrrd", ".seg.nhdr")
_SCENES = (".mrml", ".mrb")

# bits of vtkSlicerVolumesLogic::LoadingOptions
_LABELMAP, _CENTER, _SINGLE_FILE, _AUTO_LEVEL, _NO_ORIENTATION = 1, 2, 4, 8, 16


class FileManager:
    """Loads and saves nodes; ``slicer.util.loadVolume`` and the like end here."""

    def fileType(self, file_name: Any) -> str:
        """Return the kind of a file (``VolumeFile``, ``SegmentationFile``, ``SceneFile``, ``NoFile``)."""
        name = str(file_name).lower()
        for kind, endings in (("SegmentationFile", _SEGMENTATIONS), ("SceneFile", _SCENES), ("VolumeFile", _VOLUMES)):
            if name.endswith(endings):
                return kind
        return "NoFile"

    def fileWriterFileType(self, node: Any) -> str:
        """Return the kind of file that a node is written to."""
        return "SegmentationFile" if node.IsA("vtkMRMLSegmentationNode") else "VolumeFile"

    def loadNodes(self, kind: str, properties: Mapping[str, Any], loaded: Any, messages: Any = None) -> bool:
        """Read a file into the scene.

        Args:
            kind: See :meth:`fileType`.
            properties: At least ``fileName``; then what ``slicer.util.loadVolume`` documents.
            loaded: ``vtkCollection`` that gets the new nodes.
            messages: ``vtkMRMLMessageCollection`` that gets the errors.

        Returns:
            False when it failed.
        """
        path = str(properties["fileName"])
        reader = {"VolumeFile": _load_volume, "SegmentationFile": _load_segmentation, "SceneFile": _load_scene}.get(
            kind
        )
        node = reader(path, properties) if reader is not None and Path(path).exists() else None
        if node is None and messages is not None:
            messages.AddMessage(vtk.vtkCommand.ErrorEvent, f"cannot read {path}")
        if node is None:
            return False
        if node is not slicer.mrmlScene:
            loaded.AddItem(node)
        return True

    def saveNodes(self, kind: str, properties: Mapping[str, Any], messages: Any = None) -> bool:
        """Write a node (``nodeID``) or the scene to ``fileName``; False when it failed."""
        path = str(properties["fileName"])
        if kind == "SceneFile":
            return _save_scene(path)
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None and not node.AddDefaultStorageNode():
            return False
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        storage.SetUseCompression(int(properties.get("useCompression", 1)))
        return bool(storage.WriteData(node))


def _load_volume(path: str, properties: Mapping[str, Any]) -> Any:
    """Read a volume; None when it failed."""
    options = _SINGLE_FILE if properties.get("singleFile") else 0
    options |= _LABELMAP if properties.get("labelmap") else 0
    options |= _CENTER if properties.get("center") else 0
    options |= _NO_ORIENTATION if properties.get("discardOrientation") else 0
    options |= _AUTO_LEVEL if properties.get("autoWindowLevel", True) else 0
    node = slicer.modules.volumes.logic().AddArchetypeVolume(path, _name_of(path, properties), options)
    if node is None:
        return None
    if "colorNodeID" in properties:
        node.GetDisplayNode().SetAndObserveColorNodeID(properties["colorNodeID"])
    if properties.get("show", True):
        selection = slicer.app.applicationLogic().GetSelectionNode()
        role = "SetActiveLabelVolumeID" if properties.get("labelmap") else "SetActiveVolumeID"
        getattr(selection, role)(node.GetID())
        slicer.app.applicationLogic().PropagateVolumeSelection()
    return node


def _load_segmentation(path: str, properties: Mapping[str, Any]) -> Any:
    """Read a segmentation, from its own format or from a labelmap; None when it failed."""
    name = _name_of(path, properties)
    if not path.lower().endswith(_SEGMENTATIONS):
        logic = slicer.modules.segmentations.logic()
        return logic.LoadSegmentationFromFile(path, bool(properties.get("autoOpacities", True)), name)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.AddDefaultStorageNode(path)
    if not node.GetStorageNode().ReadData(node):
        slicer.mrmlScene.RemoveNode(node)
        return None
    node.CreateDefaultDisplayNodes()
    return node


def _load_scene(path: str, properties: Mapping[str, Any]) -> Any:
    """Open (``clear``) or add a scene; returns the scene, None when it failed."""
    scene = slicer.mrmlScene
    if path.lower().endswith(".mrb"):
        scene.Clear(0)
        return scene if scene.ReadFromMRB(path, bool(properties.get("clear"))) else None
    scene.SetURL(path)
    scene.SetRootDirectory(str(Path(path).parent))
    return scene if (scene.Connect() if properties.get("clear") else scene.Import()) else None


def _save_scene(path: str) -> bool:
    """Write the scene as ``.mrb`` with its data, or as ``.mrml`` without, as ``slicer.util.saveScene`` does."""
    scene = slicer.mrmlScene
    if path.lower().endswith(".mrb"):
        return bool(scene.WriteToMRB(path))
    scene.SetURL(path)
    scene.SetRootDirectory(str(Path(path).parent))
    return bool(scene.Commit(path))


def _name_of(path: str, properties: Mapping[str, Any]) -> str:
    """Return the name of the new node: asked for, or the file's without its endings."""
    name = Path(path).name
    for ending in (*_SEGMENTATIONS, ".nii.gz", Path(path).suffix):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
            break
    return slicer.mrmlScene.GenerateUniqueName(str(properties.get("name") or name))
