"""Stand-in of ``qMRMLSegmentEditorWidget`` on a real ``vtkMRMLSegmentEditorNode`` and ``vtkSegmentationHistory``.

It selects segmentation, source volume, segment and effect, lists the segments and undoes. The effects themselves do not
paint: tests edit the segmentation node, as an effect would, after ``saveStateForUndo``.
"""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore

from tests.slicer_extension.harness.qmrml import qMRMLNodeComboBox, qMRMLWidget
from tests.slicer_extension.harness.raw import raw
from tests.slicer_extension.harness.segment_editor_look import EFFECTS, build, list_segments
from tests.slicer_extension.harness.standin import attribute, observe, register, state, unobserve


class Effect:
    """An effect of the editor (``qSlicerSegmentEditorAbstractEffect``), as far as its name."""

    def __init__(self, name: str) -> None:
        self.name = name


def _rearrange(self: Any) -> None:
    self._rearrange()


def _resize_history(self: Any) -> None:
    if state(self).get("history") is not None:
        state(self)["history"].SetMaximumNumberOfStates(self.maximumNumberOfUndoStates)


@register
class qMRMLSegmentEditorWidget(qMRMLWidget):
    """Edits the segments of a segmentation; needs a segment editor node before anything else."""

    NATIVE = True
    SIGNALS = (
        "currentSegmentIDChanged(QString)",
        "segmentationNodeChanged(vtkMRMLSegmentationNode*)",
        "sourceVolumeNodeChanged(vtkMRMLVolumeNode*)",
    )
    segmentationNodeSelectorVisible = attribute(bool, "segmentationNodeSelectorVisible", True, _rearrange)
    sourceVolumeNodeSelectorVisible = attribute(bool, "sourceVolumeNodeSelectorVisible", True, _rearrange)
    switchToSegmentationsButtonVisible = attribute(bool, "switchToSegmentationsButtonVisible", True, _rearrange)
    undoEnabled = attribute(bool, "undoEnabled", True, _rearrange)
    readOnly = attribute(bool, "readOnly", False, _rearrange)
    maximumNumberOfUndoStates = attribute(int, "maximumNumberOfUndoStates", 10, _resize_history)
    autoShowSourceVolumeNode = attribute(bool, "autoShowSourceVolumeNode", True)
    jumpToSelectedSegmentEnabled = attribute(bool, "jumpToSelectedSegmentEnabled", False)
    unorderedEffectsVisible = attribute(bool, "unorderedEffectsVisible", True)
    effectColumnCount = attribute(int, "effectColumnCount", 2)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        state(self).update(node=None, segmentation=None, history=None, observing=False, shortcuts=False)
        parts = build(self, qMRMLNodeComboBox)
        state(self).update(parts=parts)
        parts["segmentation"].connect("currentNodeChanged(vtkMRMLNode*)", self._segmentation_chosen)
        parts["source"].connect("currentNodeChanged(vtkMRMLNode*)", self._source_chosen)
        parts["table"].connect("itemSelectionChanged()", self._row_selected)
        parts["add"].connect("clicked()", self._add_segment)
        parts["remove"].connect("clicked()", self._remove_segment)
        parts["undo"].connect("clicked()", self.undo)
        parts["redo"].connect("clicked()", self.redo)
        for name, button in parts["effects"].items():
            button.connect("clicked(bool)", lambda on, name=name: self.setActiveEffectByName(name if on else ""))
        self.updateWidgetFromMRML()

    # ------------------------------------------------------------------ scene and parameter node

    def _scene_set(self, scene: Any) -> None:
        for part in ("segmentation", "source"):
            state(self)["parts"][part].setMRMLScene(scene)
        self._observe(self.segmentationNode())

    def _scene_closed(self, *_: Any) -> None:
        """Let go of a parameter node that went with the scene; the module has to give a new one."""
        node = state(self)["node"]
        if node is not None and node.GetScene() is None:
            self.setMRMLSegmentEditorNode(None)

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        """Set the node that keeps what is selected, or None."""
        if node is not None and not isinstance(node, slicer.vtkMRMLSegmentEditorNode):
            raise TypeError(f"setMRMLSegmentEditorNode wants a vtkMRMLSegmentEditorNode, not {node!r}")
        state(self)["node"] = node
        self._observe(node.GetSegmentationNode() if node is not None else None)
        self.updateWidgetFromMRML()

    def mrmlSegmentEditorNode(self) -> Any:
        """Return the node that keeps what is selected, or None."""
        return state(self)["node"]

    def _node(self) -> Any:
        if state(self)["node"] is None:
            raise RuntimeError("the segment editor has no parameter node yet: call setMRMLSegmentEditorNode first")
        return state(self)["node"]

    # ------------------------------------------------------------------ segmentation and source volume

    def setSegmentationNode(self, node: Any) -> None:
        """Edit a segmentation, or none."""
        if node is None and state(self)["node"] is None:
            return
        if node is not None and not isinstance(node, slicer.vtkMRMLSegmentationNode):
            raise TypeError(f"setSegmentationNode wants a vtkMRMLSegmentationNode, not {node!r}")
        if node is self._node().GetSegmentationNode() and node is state(self)["segmentation"]:
            return
        self._node().SetAndObserveSegmentationNode(node)
        self._observe(node)
        self.updateWidgetFromMRML()
        self._emit("segmentationNodeChanged(vtkMRMLSegmentationNode*)", node)

    def segmentationNode(self) -> Any:
        """Return the segmentation, or None."""
        return state(self)["node"].GetSegmentationNode() if state(self)["node"] is not None else None

    def setSegmentationNodeID(self, node_id: str) -> None:
        """Edit the segmentation of an ID."""
        self.setSegmentationNode(slicer.mrmlScene.GetNodeByID(node_id) if node_id else None)

    def segmentationNodeID(self) -> str:
        """Return the segmentation's ID, empty for none."""
        node = self.segmentationNode()
        return node.GetID() if node is not None else ""

    def setSourceVolumeNode(self, node: Any) -> None:
        """Set the volume whose grid and intensities the effects use, or None."""
        if node is None and state(self)["node"] is None:
            return
        if node is not None and not isinstance(node, slicer.vtkMRMLScalarVolumeNode):
            raise TypeError(f"setSourceVolumeNode wants a vtkMRMLScalarVolumeNode, not {node!r}")
        if self.segmentationNode() is None and node is not None:
            raise RuntimeError("Slicer ignores a source volume without a segmentation: call setSegmentationNode first")
        changed = node is not self._node().GetSourceVolumeNode()
        self._node().SetAndObserveSourceVolumeNode(node)
        self.updateWidgetFromMRML()
        if changed:
            self._emit("sourceVolumeNodeChanged(vtkMRMLVolumeNode*)", node)

    def sourceVolumeNode(self) -> Any:
        """Return the source volume, or None."""
        return state(self)["node"].GetSourceVolumeNode() if state(self)["node"] is not None else None

    def _segmentation_chosen(self, node: Any) -> None:
        if state(self)["node"] is not None:
            self.setSegmentationNode(node)

    def _source_chosen(self, node: Any) -> None:
        if state(self)["node"] is not None and self.segmentationNode() is not None:
            self.setSourceVolumeNode(node)

    def _observe(self, node: Any) -> None:
        """Follow a segmentation's segments, and start its history of undo states."""
        kept = state(self)
        unobserve(self)
        kept.update(segmentation=node, history=None)
        if self.mrmlScene() is not None:
            observe(self, self.mrmlScene(), slicer.vtkMRMLScene.EndCloseEvent, self._scene_closed)
        if node is None:
            return
        for event in ("SegmentAdded", "SegmentRemoved", "SegmentModified"):
            observe(self, node, getattr(slicer.vtkSegmentation, event), lambda *_: self.updateWidgetFromMRML())
        kept["history"] = slicer.vtkSegmentationHistory()
        kept["history"].SetMaximumNumberOfStates(self.maximumNumberOfUndoStates)
        kept["history"].SetSegmentation(node.GetSegmentation())

    # ------------------------------------------------------------------ segments

    def setCurrentSegmentID(self, segment_id: str) -> None:
        """Select a segment."""
        if segment_id == self._node().GetSelectedSegmentID():
            return
        self._node().SetSelectedSegmentID(segment_id)
        self.updateWidgetFromMRML()
        self._emit("currentSegmentIDChanged(QString)", segment_id)

    def currentSegmentID(self) -> str:
        """Return the selected segment's ID, empty for none."""
        return (state(self)["node"].GetSelectedSegmentID() or "") if state(self)["node"] is not None else ""

    def _row_selected(self) -> None:
        item = state(self)["parts"]["table"].item(state(self)["parts"]["table"].currentRow(), 0)
        if item is not None and state(self)["node"] is not None:
            self.setCurrentSegmentID(item.data(QtCore.Qt.ItemDataRole.UserRole))

    def _add_segment(self) -> None:
        self.saveStateForUndo()
        self.setCurrentSegmentID(self.segmentationNode().GetSegmentation().AddEmptySegment())

    def _remove_segment(self) -> None:
        self.saveStateForUndo()
        self.segmentationNode().GetSegmentation().RemoveSegment(self.currentSegmentID())

    # ------------------------------------------------------------------ effects

    def setActiveEffectByName(self, name: str) -> None:
        """Activate an effect; an empty name deactivates."""
        if name and name not in EFFECTS:
            raise ValueError(f"the segment editor has no effect {name!r}; it has {', '.join(EFFECTS)}")
        self._node().SetActiveEffectName(name)
        self.updateWidgetFromMRML()

    def setActiveEffect(self, effect: Effect | None) -> None:
        """Activate an effect, or none."""
        if state(self)["node"] is not None:
            self.setActiveEffectByName(effect.name if effect is not None else "")

    def activeEffect(self) -> Effect | None:
        """Return the active effect, or None."""
        name = state(self)["node"].GetActiveEffectName() if state(self)["node"] is not None else ""
        return Effect(name) if name else None

    def effectByName(self, name: str) -> Effect | None:
        """Return an effect, or None."""
        return Effect(name) if name in EFFECTS else None

    def setEffectNameOrder(self, names: list[str]) -> None:
        """Show these effects first (or only these, without ``unorderedEffectsVisible``)."""
        state(self)["order"] = list(names)
        self._rearrange()

    def setupViewObservations(self) -> None:
        """Let effects hear the mouse in the slice views."""
        state(self)["observing"] = True

    def removeViewObservations(self) -> None:
        """Let effects hear nothing."""
        state(self)["observing"] = False

    def installKeyboardShortcuts(self, parent: Any = None) -> None:
        """Let the number and letter keys select effects and segments."""
        state(self)["shortcuts"] = True

    def uninstallKeyboardShortcuts(self) -> None:
        """Take the keys back."""
        state(self)["shortcuts"] = False

    # ------------------------------------------------------------------ undo

    def saveStateForUndo(self) -> None:
        """Remember the segmentation as it is, before a change."""
        if state(self)["history"] is not None:
            state(self)["history"].SaveState()
        self.updateWidgetFromMRML()

    def undo(self) -> None:
        """Go one remembered state back."""
        if state(self)["history"] is not None:
            state(self)["history"].RestorePreviousState()
        self.updateWidgetFromMRML()

    def redo(self) -> None:
        """Go one undone state forth."""
        if state(self)["history"] is not None:
            state(self)["history"].RestoreNextState()
        self.updateWidgetFromMRML()

    # ------------------------------------------------------------------ looks

    def updateWidgetFromMRML(self) -> None:
        """Show what the nodes say."""
        kept = state(self)
        parts, segmentation = kept["parts"], self.segmentationNode()
        for part, node in (("segmentation", segmentation), ("source", self.sourceVolumeNode())):
            blocked = parts[part].blockSignals(True)
            parts[part].setCurrentNode(node)
            parts[part].blockSignals(blocked)
        list_segments(parts["table"], segmentation, self.currentSegmentID())
        ready = segmentation is not None and not self.readOnly
        for part in ("add", "remove", "show3d"):
            parts[part].enabled = ready
        active = self.activeEffect()
        for name, button in parts["effects"].items():
            button.enabled = ready and self.sourceVolumeNode() is not None
            button.checked = active is not None and active.name == name
        history = kept["history"]
        parts["undo"].enabled = history is not None and history.IsRestorePreviousStateAvailable()
        parts["redo"].enabled = history is not None and history.IsRestoreNextStateAvailable()

    def _rearrange(self) -> None:
        parts = state(self)["parts"]
        for row, visible in (
            ("segmentation", self.segmentationNodeSelectorVisible),
            ("source", self.sourceVolumeNodeSelectorVisible),
        ):
            raw(parts[row], "setVisible")(visible)
            raw(parts[f"{row}_label"], "setVisible")(visible)
        raw(parts["undo"], "setVisible")(self.undoEnabled)
        raw(parts["redo"], "setVisible")(self.undoEnabled)
        order = state(self).get("order", list(EFFECTS))
        for name, button in parts["effects"].items():
            raw(button, "setVisible")(name in order or self.unorderedEffectsVisible)
        self.updateWidgetFromMRML()
