"""Stand-ins of Slicer's MRML widgets, on the real scene."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from tests.slicer_extension.harness import dialogs
from tests.slicer_extension.harness.raw import raw
from tests.slicer_extension.harness.standin import MRMLSceneMixin, attribute, observe, register, state, unobserve


@register
class qMRMLWidget(MRMLSceneMixin, QtWidgets.QWidget):
    """A widget with a scene. It hands its scene to others only through connections, as Slicer's does."""

    NATIVE = True


@register
class qSlicerWidget(qMRMLWidget):
    """Top widget of a panel."""

    NATIVE = True


def _refill(self: Any) -> None:
    self._refill()


@register
class qMRMLNodeComboBox(MRMLSceneMixin, QtWidgets.QWidget):
    """Lets the user choose a node of the scene; disabled until it has a scene."""

    NATIVE = True
    SIGNALS = (
        "currentNodeChanged(vtkMRMLNode*)",
        "currentNodeChanged(bool)",
        "currentNodeIDChanged(QString)",
        "nodeActivated(vtkMRMLNode*)",
        "nodeAdded(vtkMRMLNode*)",
        "nodeAddedByUser(vtkMRMLNode*)",
        "nodeAboutToBeRemoved(vtkMRMLNode*)",
        "currentNodeRenamed(QString)",
    )
    nodeTypes = attribute("QStringList", "nodeTypes", [], _refill)
    hideChildNodeTypes = attribute("QStringList", "hideChildNodeTypes", [], _refill)
    showHidden = attribute(bool, "showHidden", False, _refill)
    showChildNodeTypes = attribute(bool, "showChildNodeTypes", True, _refill)
    noneEnabled = attribute(bool, "noneEnabled", False, _refill)
    noneDisplay = attribute(str, "noneDisplay", "None", _refill)
    addEnabled = attribute(bool, "addEnabled", True, _refill)
    removeEnabled = attribute(bool, "removeEnabled", True, _refill)
    editEnabled = attribute(bool, "editEnabled", False, _refill)
    renameEnabled = attribute(bool, "renameEnabled", False, _refill)
    selectNodeUponCreation = attribute(bool, "selectNodeUponCreation", True)
    baseName = attribute(str, "baseName", "")
    interactionNodeSingletonTag = attribute(str, "interactionNodeSingletonTag", "")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        box = QtWidgets.QComboBox(self)
        box.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.minimumContentsLength = 6
        layout.addWidget(box)
        state(self).update(box=box, watched=set(), id="", nodes=[], filling=False)
        box.connect("activated(int)", self._activated)
        box.enabled = False

    # ------------------------------------------------------------------ the scene

    def _scene_set(self, scene: Any) -> None:
        unobserve(self)
        state(self)["watched"] = set()
        state(self)["box"].enabled = scene is not None
        if scene is not None:
            kinds = slicer.vtkMRMLScene
            for event, react in (
                (kinds.NodeAddedEvent, self._node_added),
                (kinds.NodeRemovedEvent, self._scene_changed),
                (kinds.EndBatchProcessEvent, self._scene_changed),
            ):
                observe(self, scene, event, react)
        self._refill()

    def _scene_changed(self, *_: Any) -> None:
        if self.mrmlScene() is not None and not self.mrmlScene().IsBatchProcessing():
            self._refill()

    def _node_added(self, *_: Any) -> None:
        before = {node.GetID() for node in state(self)["nodes"]}
        self._scene_changed()
        for node in state(self)["nodes"]:
            if node.GetID() not in before:
                self._emit("nodeAdded(vtkMRMLNode*)", node)

    def _shows(self, node: Any) -> bool:
        """Return whether a node of the right type is offered."""
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if any(node.IsA(kind) for kind in self.hideChildNodeTypes):
            return False
        attributes = state(self).get("attributes", {})
        if any(node.GetAttribute(name) != value for name, value in attributes.items()):
            return False
        return bool(self.showChildNodeTypes) or node.GetClassName() in self.nodeTypes

    def _offered(self) -> list[Any]:
        """Return the nodes to choose from, in the scene's order."""
        scene, found = self.mrmlScene(), []
        for index in range(scene.GetNumberOfNodes() if scene is not None else 0):
            node = scene.GetNthNode(index)
            if any(node.IsA(kind) for kind in self.nodeTypes) and self._shows(node):
                found.append(node)
        return found

    def _refill(self) -> None:
        """Fill the list again; the selection stays, or becomes the first one where there must be one."""
        kept, nodes = state(self), self._offered()
        if kept["filling"]:
            return
        kept["nodes"] = nodes
        ids = [node.GetID() for node in nodes]
        wanted = kept["id"] if kept["id"] in ids else "" if self.noneEnabled or not ids else ids[0]
        self._fill(wanted)
        self._select(wanted)

    def _fill(self, selected: str) -> None:
        """Put the nodes and actions into the list and show the selected node, without a signal."""
        kept = state(self)
        kept["filling"] = True
        box = kept["box"]
        blocked = box.blockSignals(True)
        box.clear()
        if self.noneEnabled:
            box.addItem(self.noneDisplay, "")
        for node in kept["nodes"]:
            box.addItem(node.GetName() or "", node.GetID())
            self._watch_name(node)
        self._add_actions(box, bool(selected))
        box.setCurrentIndex(box.findData(selected))
        box.blockSignals(blocked)
        kept["filling"] = False

    def _watch_name(self, node: Any) -> None:
        """Show a node's new name when it is renamed."""
        watched = state(self)["watched"]
        if node.GetID() not in watched:
            watched.add(node.GetID())
            observe(self, node, "ModifiedEvent", self._node_modified)

    def _node_modified(self, node: Any, _event: str) -> None:
        box = state(self)["box"]
        index = box.findData(node.GetID())
        if index >= 0 and box.itemText(index) != node.GetName():
            box.setItemText(index, node.GetName())
            if node.GetID() == state(self)["id"]:
                self._emit("currentNodeRenamed(QString)", node.GetName())

    def _add_actions(self, box: Any, selected: bool) -> None:
        """Add what the list offers beside the nodes."""
        kind = self.nodeTypes[0].removeprefix("vtkMRML").removesuffix("Node") if self.nodeTypes else "node"
        for enabled, text, action in (
            (self.renameEnabled and selected, "Rename current", "rename"),
            (self.addEnabled, f"Create new {kind}", "add"),
            (self.removeEnabled and selected, "Delete current", "remove"),
        ):
            if enabled:
                box.addItem(f"{text} ...", ("action", action))

    # ------------------------------------------------------------------ the selection

    def _activated(self, index: int) -> None:
        """The user chose an item of the list."""
        chosen = state(self)["box"].itemData(index)
        if isinstance(chosen, (tuple, list)):
            self._fill(state(self)["id"])
            {"add": self._add_by_user, "remove": self.removeCurrentNode, "rename": self.renameCurrentNode}[chosen[1]]()
            return
        self._select(chosen or "")
        self._emit("nodeActivated(vtkMRMLNode*)", self.currentNode())

    def _select(self, node_id: str) -> None:
        if node_id == state(self)["id"]:
            return
        state(self)["id"] = node_id
        self._fill(node_id)
        self._emit("currentNodeChanged(vtkMRMLNode*)", self.currentNode())
        self._emit("currentNodeChanged(bool)", self.currentNode() is not None)
        self._emit("currentNodeIDChanged(QString)", node_id)

    def currentNode(self) -> Any:
        """Return the selected node, or None."""
        scene, node_id = self.mrmlScene(), state(self)["id"]
        return scene.GetNodeByID(node_id) if scene is not None and node_id else None

    def setCurrentNode(self, node: Any) -> None:
        """Select a node; one that is not in the list selects none."""
        if node is not None and not isinstance(node, slicer.vtkMRMLNode):
            raise TypeError(f"setCurrentNode wants a vtkMRMLNode, not {node!r}")
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id: str | None) -> None:
        """Select a node by its ID; an unknown one selects none."""
        known = node_id in [node.GetID() for node in state(self)["nodes"]]
        self._select(node_id if node_id and known else "")

    def _current_id(self) -> str:
        return str(state(self)["id"])

    currentNodeID = QtCore.Property(str, _current_id, setCurrentNodeID)

    def setCurrentNodeIndex(self, index: int) -> None:
        """Select the n-th node."""
        self.setCurrentNode(self.nodeFromIndex(index))

    def nodeCount(self) -> int:
        """Return how many nodes there are to choose from."""
        return len(state(self)["nodes"])

    def nodeFromIndex(self, index: int) -> Any:
        """Return the n-th node, or None."""
        nodes = state(self)["nodes"]
        return nodes[index] if 0 <= index < len(nodes) else None

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        """Offer only nodes with this attribute."""
        state(self).setdefault("attributes", {})[name] = value
        self._refill()

    # ------------------------------------------------------------------ what changes the scene

    def addNode(self, node_type: str | None = None) -> Any:
        """Make a node of the (first) type, select it, and return it."""
        node = self.mrmlScene().AddNewNodeByClass(node_type or self.nodeTypes[0], self.baseName)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node

    def _add_by_user(self) -> None:
        self._emit("nodeAddedByUser(vtkMRMLNode*)", self.addNode())

    def removeCurrentNode(self) -> None:
        """Remove the selected node from the scene."""
        node = self.currentNode()
        self._emit("nodeAboutToBeRemoved(vtkMRMLNode*)", node)
        self.mrmlScene().RemoveNode(node)

    def renameCurrentNode(self) -> None:
        """Ask for a new name of the selected node."""
        name = dialogs.InputDialog.getText(self, "Rename", "New name:", None, self.currentNode().GetName())
        if name:
            self.currentNode().SetName(name)


def display_box(combo: Any) -> Any:
    """Return the ``QComboBox`` inside a node combo box, which the mouse clicks."""
    return raw(combo, "__dict__")["_standin_state"]["box"]
