"""``qMRMLSegmentEditorWidget`` on a real ``vtkMRMLSegmentEditorNode``. Methods with Slicer's names do what Slicer's do.

The effects do nothing: tests edit the segmentation node as an effect would. The widgets inside are about as many and as
large as in Slicer, so that pictures are realistic.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import slicer
from PySide6 import QtGui, QtWidgets

from tests.slicer_extension.harness.mrml_widgets import qMRMLWidget
from tests.slicer_extension.harness.qt_classes import raw
from tests.slicer_extension.harness.widgets import attribute, observer, register, state

_EFFECTS = (
    "Threshold", "Paint", "Draw", "Erase", "Level tracing", "Grow from seeds", "Fill between slices", "Margin",
    "Hollow", "Smoothing", "Scissors", "Islands", "Logical operators", "Mask volume",
)  # fmt: skip
_COLUMNS = 4


def _hide_selector(self: Any) -> None:
    for part in ("Segmentation:", "segmentation"):
        raw(state(self)["parts"][part], "setVisible")(self.segmentationNodeSelectorVisible)


@register
class qMRMLSegmentEditorWidget(qMRMLWidget):
    """Edits the segments of a segmentation; needs a segment editor node before anything else."""

    segmentationNodeSelectorVisible = attribute(bool, "segmentationNodeSelectorVisible", True, _hide_selector)
    maximumNumberOfUndoStates = attribute(int, "maximumNumberOfUndoStates", 10)
    autoShowSourceVolumeNode = attribute(bool, "autoShowSourceVolumeNode", True)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        state(self).update(node=None, segmentation=None, source=None, views_observed=False, parts=_build(self))
        slicer.app.layoutManager().connect("layoutChanged(int)", self._layout_changed)
        self.updateWidgetFromMRML()

    # === Nodes ===

    def _scene_set(self, scene: Any) -> None:
        self._observe(self.segmentationNode())

    def _scene_closed(self, *_: Any) -> None:
        if state(self)["node"] is not None and state(self)["node"].GetScene() is None:
            self.setMRMLSegmentEditorNode(None)

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        if node is not None and not isinstance(node, slicer.vtkMRMLSegmentEditorNode):
            raise TypeError(f"setMRMLSegmentEditorNode wants a vtkMRMLSegmentEditorNode, not {node!r}")
        state(self)["node"] = node
        self._observe(self.segmentationNode())
        self.updateWidgetFromMRML()

    def mrmlSegmentEditorNode(self) -> Any:
        return state(self)["node"]

    def setSegmentationNode(self, node: Any) -> None:
        if _ignores(self, node, slicer.vtkMRMLSegmentationNode):
            return
        if node is not self.segmentationNode() or node is not state(self)["segmentation"]:
            state(self)["node"].SetAndObserveSegmentationNode(node)
            self._observe(node)
            self.updateWidgetFromMRML()

    def segmentationNode(self) -> Any:
        return state(self)["node"].GetSegmentationNode() if state(self)["node"] is not None else None

    def setSourceVolumeNode(self, node: Any) -> None:
        if _ignores(self, node, slicer.vtkMRMLScalarVolumeNode):
            return
        if self.segmentationNode() is None and node is not None:
            raise RuntimeError("Slicer ignores a source volume without a segmentation: call setSegmentationNode first")
        state(self)["node"].SetAndObserveSourceVolumeNode(node)
        self.updateWidgetFromMRML()

    def sourceVolumeNode(self) -> Any:
        return state(self)["node"].GetSourceVolumeNode() if state(self)["node"] is not None else None

    def _observe(self, node: Any) -> None:
        observer(self).removeObservers()
        state(self)["segmentation"] = node
        if self.mrmlScene() is not None:
            observer(self).addObserver(self.mrmlScene(), slicer.vtkMRMLScene.EndCloseEvent, self._scene_closed)
        for event in ("SegmentAdded", "SegmentRemoved", "SegmentModified") if node is not None else ():
            observer(self).addObserver(node, getattr(slicer.vtkSegmentation, event), self.updateWidgetFromMRML)

    # === Views ===

    def setupViewObservations(self) -> None:
        state(self)["views_observed"] = True

    def removeViewObservations(self) -> None:
        state(self)["views_observed"] = False

    def _layout_changed(self, _layout: int) -> None:
        if state(self)["views_observed"]:
            self._show_source_volume()

    def _show_source_volume(self) -> None:
        """Show the source volume alone in the slice views that do not show it, as Slicer's does unless told not to."""
        source = self.sourceVolumeNode()
        if source is None or not self.autoShowSourceVolumeNode:
            return
        for view in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            if source.GetID() not in (view.GetBackgroundVolumeID(), view.GetForegroundVolumeID()):
                view.SetBackgroundVolumeID(source.GetID())
                view.SetForegroundVolumeID(None)
                view.SetLabelVolumeID(None)

    # === Effects ===

    def setActiveEffect(self, effect: Any) -> None:
        if state(self)["node"] is not None:
            state(self)["node"].SetActiveEffectName(effect.name if effect is not None else "")

    def activeEffect(self) -> Any:
        name = state(self)["node"].GetActiveEffectName() if state(self)["node"] is not None else ""
        return SimpleNamespace(name=name) if name else None

    def undo(self) -> None: ...

    def redo(self) -> None: ...

    def updateWidgetFromMRML(self, *_: Any) -> None:
        """Show what the nodes say; a scene that was loaded may have brought another source volume."""
        kept, segmentation, source = state(self), self.segmentationNode(), self.sourceVolumeNode()
        for part, node in (("segmentation", segmentation), ("source", source)):
            kept["parts"][part].clear()
            kept["parts"][part].addItem(node.GetName() if node is not None else "None")
        for button in kept["parts"]["buttons"]:
            button.enabled = segmentation is not None
        _list_segments(kept["parts"]["table"], segmentation)
        if segmentation is not None and source is not kept["source"]:
            kept["source"] = source
            self._show_source_volume()


def _ignores(editor: Any, node: Any, kind: type) -> bool:
    """Return whether an editor without a parameter node is given None; anything else that does not fit fails."""
    if node is not None and not isinstance(node, kind):
        raise TypeError(f"the segment editor wants a {kind.__name__}, not {node!r}")
    if node is not None and state(editor)["node"] is None:
        raise RuntimeError("the segment editor has no parameter node yet: call setMRMLSegmentEditorNode first")
    return state(editor)["node"] is None


def _build(editor: Any) -> dict[str, Any]:
    """Fill an editor with widgets; returns them by name."""
    parts: dict[str, Any] = {"buttons": []}
    layout, form = QtWidgets.QVBoxLayout(editor), QtWidgets.QFormLayout()
    effects, rows = QtWidgets.QGridLayout(), [QtWidgets.QHBoxLayout(), QtWidgets.QHBoxLayout()]
    layout.setContentsMargins(0, 0, 0, 0)
    effects.setSpacing(2)
    for name, label in (("segmentation", "Segmentation:"), ("source", "Source volume:")):
        parts[label], parts[name] = QtWidgets.QLabel(label, editor), QtWidgets.QComboBox(editor)
        form.addRow(parts[label], parts[name])
    parts["table"] = table = QtWidgets.QTableWidget(0, 1, editor)
    table.setHorizontalHeaderLabels(["Name"])
    table.horizontalHeader().setStretchLastSection(True)
    table.verticalHeader().setVisible(False)
    table.setFixedHeight(140)
    for index, name in enumerate(_EFFECTS):
        button = QtWidgets.QToolButton(editor)
        button.text = name
        button.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)
        effects.addWidget(button, index // _COLUMNS, index % _COLUMNS)
        parts["buttons"].append(button)
    rows[1].addStretch(1)
    for row, texts in zip(rows, (("Add", "Remove", "Show 3D"), ("Undo", "Redo")), strict=True):
        for text in texts:
            button = QtWidgets.QPushButton(text, editor)
            row.addWidget(button)
            button.enabled = False  # and there is never anything to undo
            parts["buttons"] += [button] if row is rows[0] else []
    for part in (form, rows[0], table, effects, rows[1]):
        (layout.addWidget if part is table else layout.addLayout)(part)
    return parts


def _list_segments(table: Any, node: Any) -> None:
    segmentation = node.GetSegmentation() if node is not None else slicer.vtkSegmentation()
    table.setRowCount(segmentation.GetNumberOfSegments())
    for row in range(table.rowCount):
        segment, color = segmentation.GetNthSegment(row), QtGui.QPixmap(14, 14)
        color.fill(QtGui.QColor.fromRgbF(*segment.GetColor()))
        table.setItem(row, 0, QtWidgets.QTableWidgetItem(QtGui.QIcon(color), segment.GetName()))
