"""Slicer's widgets on the real scene: ``qMRMLWidget``, ``qMRMLNodeComboBox``, and the widget of a scripted module."""

import sys
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from tests.slicer_extension.harness import event_loop
from tests.slicer_extension.harness.qt_classes import raw
from tests.slicer_extension.harness.widgets import CppWidget, attribute, observer, register, state


@register
class qMRMLWidget(CppWidget, QtWidgets.QWidget):
    """A widget with a scene. It hands its scene to others only through connections, as Slicer's does."""

    SIGNALS: tuple[str, ...] = ("mrmlSceneChanged(vtkMRMLScene*)",)

    def setMRMLScene(self, scene: Any) -> None:
        if state(self).get("scene") is not scene:
            state(self)["scene"] = scene
            self._scene_set(scene)
            self._emit("mrmlSceneChanged(vtkMRMLScene*)", scene)

    def mrmlScene(self) -> Any:
        return state(self).get("scene")

    def _scene_set(self, scene: Any) -> None: ...


@register
class qMRMLNodeComboBox(qMRMLWidget):
    """Lets the user choose a node of the scene; disabled until it has a scene.

    It offers the nodes alone: a form that asks for Slicer's actions to add, remove and rename nodes is refused.
    """

    SIGNALS = ("currentNodeChanged(vtkMRMLNode*)",)
    nodeTypes = attribute("QStringList", "nodeTypes", [], lambda self: self._refill())
    showChildNodeTypes = attribute(bool, "showChildNodeTypes", True, lambda self: self._refill())
    noneEnabled = attribute(bool, "noneEnabled", False, lambda self: self._refill())
    noneDisplay = attribute(str, "noneDisplay", "None", lambda self: self._refill())
    addEnabled = attribute(bool, "addEnabled", True)
    removeEnabled = attribute(bool, "removeEnabled", True)
    renameEnabled = attribute(bool, "renameEnabled", False)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        box = QtWidgets.QComboBox(self)
        box.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.minimumContentsLength = 6
        box.enabled = False
        box.connect("activated(int)", lambda index: self._select(box.itemData(index) or ""))
        layout.addWidget(box)
        state(self).update(box=box, id="", nodes=[])

    def _scene_set(self, scene: Any) -> None:
        if self.addEnabled or self.removeEnabled or self.renameEnabled:
            raise NotImplementedError("the harness's node selector needs addEnabled and so on to be false")
        observer(self).removeObservers()
        state(self)["box"].enabled = scene is not None
        if scene is not None:
            for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent):
                observer(self).addObserver(scene, event, self._scene_changed)
        self._refill()

    def _scene_changed(self, *_: Any) -> None:
        if not self.mrmlScene().IsBatchProcessing():
            self._refill()

    def _offers(self, node: Any) -> bool:
        if node.GetHideFromEditors() or not any(node.IsA(kind) for kind in self.nodeTypes):
            return False
        return bool(self.showChildNodeTypes) or node.GetClassName() in self.nodeTypes

    def _refill(self) -> None:
        """Fill the list again; the selection stays, or becomes the first one where there must be one."""
        scene, kept = self.mrmlScene(), state(self)
        count = scene.GetNumberOfNodes() if scene is not None else 0
        nodes = [node for node in (scene.GetNthNode(index) for index in range(count)) if self._offers(node)]
        kept["nodes"] = nodes
        ids = [node.GetID() for node in nodes]
        wanted = kept["id"] if kept["id"] in ids else "" if self.noneEnabled or not ids else ids[0]
        kept["box"].blockSignals(True)
        kept["box"].clear()
        if self.noneEnabled:
            kept["box"].addItem(self.noneDisplay, "")
        for node in nodes:
            kept["box"].addItem(node.GetName() or "", node.GetID())
        self._select(wanted)

    def _select(self, node_id: str) -> None:
        kept, before = state(self), state(self)["id"]
        kept["box"].blockSignals(True)
        kept["box"].setCurrentIndex(kept["box"].findData(node_id))
        kept["box"].blockSignals(False)
        kept["id"] = node_id
        if node_id != before:
            self._emit("currentNodeChanged(vtkMRMLNode*)", self.currentNode())

    def currentNode(self) -> Any:
        scene, node_id = self.mrmlScene(), state(self)["id"]
        return scene.GetNodeByID(node_id) if scene is not None and node_id else None

    def setCurrentNode(self, node: Any) -> None:
        if node is not None and not isinstance(node, slicer.vtkMRMLNode):
            raise TypeError(f"setCurrentNode wants a vtkMRMLNode, not {node!r}")
        self._select(node.GetID() if node is not None and node in state(self)["nodes"] else "")


@register
class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The widget that a scripted module's panel fills, and that calls its ``setup``, ``enter`` and ``exit``."""

    isEntered = QtCore.Property(bool, lambda self: bool(state(self).get("entered")))

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        # a tool window of the main window, so that the main window's shortcuts work in it as they do in Slicer's dock
        raw(self, "setWindowFlags")(QtCore.Qt.WindowType.Tool)
        QtWidgets.QVBoxLayout(self).setContentsMargins(4, 4, 4, 4)

    def self(self) -> Any:
        return state(self)["panel"]

    def setPythonSource(self, name: str) -> None:
        """Make the panel, an instance of ``<name>Widget``; Slicer takes the path of the module's file."""
        panel_class = getattr(sys.modules[name], f"{name}Widget", None)
        if panel_class is None:
            raise AttributeError(f"{name}.py has no class {name}Widget")
        state(self).update(name=name, panel=panel_class(self))
        setattr(slicer.modules, f"{name}Widget", self.self())

    def setup(self) -> None:
        self._call("setup")

    def reload(self) -> None:
        """Make the panel anew after its file was loaded again. As Slicer's it does not enter, though it is entered."""
        self.setPythonSource(state(self)["name"])
        self.setup()

    def enter(self) -> None:
        if not self.isEntered:
            state(self)["entered"] = True
            self._call("enter")

    def exit(self) -> None:
        if self.isEntered:
            state(self)["entered"] = False
            self._call("exit")

    def _call(self, method: str) -> None:
        with event_loop.timed(f"{state(self)['name']}Widget.{method}"):
            getattr(self.self(), method, lambda: None)()
