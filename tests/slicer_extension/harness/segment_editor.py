"""``qMRMLSegmentEditorWidget`` on a real ``vtkMRMLSegmentEditorNode``. Methods with Slicer's names do what Slicer's do.

The effects do nothing: tests edit the segmentation node as an effect would.
"""

import sys
from types import ModuleType
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from tests.slicer_extension.harness.mrml_widgets import qMRMLWidget
from tests.slicer_extension.harness.widgets import CppWidget, attribute, observer, register, state

_BUTTONS = (
    "Add", "Remove", "Show 3D", "Undo", "Redo", "Threshold", "Paint", "Draw", "Erase", "Level tracing",
    "Grow from seeds", "Fill between slices", "Margin", "Hollow", "Smoothing", "Scissors", "Islands",
    "Logical operators", "Mask volume",
)  # fmt: skip


class qSlicerSegmentEditorEffectFactory(CppWidget, QtCore.QObject):
    """Knows the effects of all editors; those of modules that are loaded later come when they come."""

    SIGNALS = ("effectRegistered(QString)",)
    _the_one: Any = None

    def instance(self) -> Any:
        return type(self)._the_one

    def registerEffect(self, name: str) -> None:
        state(self).setdefault("names", []).append(name)
        self._emit("effectRegistered(QString)", name)


def make_effect_factory() -> None:
    """Put a factory without effects where Slicer has it."""
    qSlicerSegmentEditorEffectFactory._the_one = qSlicerSegmentEditorEffectFactory()
    name = "qSlicerSegmentationsEditorEffectsPythonQt"
    sys.modules[name] = ModuleType(name)
    vars(sys.modules[name])["qSlicerSegmentEditorEffectFactory"] = qSlicerSegmentEditorEffectFactory


@register
class qMRMLSegmentEditorWidget(qMRMLWidget):
    """Edits the segments of a segmentation; needs a segment editor node before anything else."""

    segmentationNodeSelectorVisible = attribute(bool, "segmentationNodeSelectorVisible", True)
    maximumNumberOfUndoStates = attribute(int, "maximumNumberOfUndoStates", 10)
    autoShowSourceVolumeNode = attribute(bool, "autoShowSourceVolumeNode", True)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        source, table = QtWidgets.QComboBox(self), QtWidgets.QTableWidget(0, 1, self)
        _lay_out(self, source, table)
        state(self).update(node=None, segmentation=None, source=None, views_observed=False, parts=(source, table))
        slicer.app.layoutManager().connect("layoutChanged(int)", self._layout_changed)
        self.updateEffectList()
        self.updateWidgetFromMRML()

    def _scene_set(self, scene: Any) -> None:
        self._observe(self.segmentationNode())

    def _scene_closed(self, *_: Any) -> None:
        if state(self)["node"] is not None and state(self)["node"].GetScene() is None:
            self.setMRMLSegmentEditorNode(None)

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        state(self)["node"] = _checked(node, slicer.vtkMRMLSegmentEditorNode)
        self._observe(self.segmentationNode())
        self.updateWidgetFromMRML()

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

    def setActiveEffect(self, effect: None) -> None:
        if state(self)["node"] is not None:
            state(self)["node"].SetActiveEffectName("")

    def updateEffectList(self) -> None:
        state(self)["effects"] = list(state(qSlicerSegmentEditorEffectFactory._the_one).get("names", ()))

    def effectByName(self, name: str) -> str | None:
        return name if name in state(self)["effects"] else None

    def undo(self) -> None: ...

    def redo(self) -> None: ...

    def updateWidgetFromMRML(self, *_: Any) -> None:
        """Show what the nodes say; a scene that was loaded may have brought another source volume."""
        node, source, (shown, table) = self.segmentationNode(), self.sourceVolumeNode(), state(self)["parts"]
        shown.clear()
        shown.addItem(source.GetName() if source is not None else "None")
        segmentation = node.GetSegmentation() if node is not None else slicer.vtkSegmentation()
        table.setRowCount(segmentation.GetNumberOfSegments())
        for row in range(table.rowCount):
            segment, color = segmentation.GetNthSegment(row), QtGui.QPixmap(14, 14)
            color.fill(QtGui.QColor.fromRgbF(*segment.GetColor()))
            table.setItem(row, 0, QtWidgets.QTableWidgetItem(QtGui.QIcon(color), segment.GetName()))
        if node is not None and source is not state(self)["source"]:
            state(self)["source"] = source
            self._show_source_volume()


def _checked(node: Any, kind: type) -> Any:
    if node is not None and not isinstance(node, kind):
        raise TypeError(f"the segment editor wants a {kind.__name__}, not {node!r}")
    return node


def _ignores(editor: Any, node: Any, kind: type) -> bool:
    """Return whether an editor without a parameter node is given None; anything else that does not fit fails."""
    if _checked(node, kind) is not None and state(editor)["node"] is None:
        raise RuntimeError("the segment editor has no parameter node yet: call setMRMLSegmentEditorNode first")
    return state(editor)["node"] is None


def _lay_out(editor: Any, source: Any, table: Any) -> None:
    layout, form, buttons = QtWidgets.QVBoxLayout(editor), QtWidgets.QFormLayout(), QtWidgets.QGridLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    form.addRow(QtWidgets.QLabel("Source volume:", editor), source)
    table.setHorizontalHeaderLabels(["Name"])
    table.horizontalHeader().setStretchLastSection(True)
    table.verticalHeader().setVisible(False)
    table.setFixedHeight(140)
    buttons.setSpacing(2)
    for index, name in enumerate(_BUTTONS):
        button = QtWidgets.QToolButton(editor)
        button.text = name
        button.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)
        buttons.addWidget(button, index // 4, index % 4)
    layout.addLayout(form)
    layout.addWidget(table)
    layout.addLayout(buttons)
