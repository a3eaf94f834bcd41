"""The widgets inside the segment editor's stand-in: about as many and as large as in Slicer, for honest pictures."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

#: Effects of Slicer's editor, in its order.
EFFECTS = (
    "Threshold",
    "Paint",
    "Draw",
    "Erase",
    "Level tracing",
    "Grow from seeds",
    "Fill between slices",
    "Margin",
    "Hollow",
    "Smoothing",
    "Scissors",
    "Islands",
    "Logical operators",
    "Mask volume",
)

_COLUMNS = 4


def build(editor: Any, node_combo: Any) -> dict[str, Any]:
    """Fill an editor with its widgets; returns them by name."""
    parts: dict[str, Any] = {}
    layout = QtWidgets.QVBoxLayout(editor)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addLayout(_selectors(editor, node_combo, parts))
    row = QtWidgets.QHBoxLayout()
    for name, text in (("add", "Add"), ("remove", "Remove"), ("show3d", "Show 3D")):
        parts[name] = QtWidgets.QPushButton(text, editor)
        row.addWidget(parts[name])
    layout.addLayout(row)
    parts["table"] = _table(editor)
    layout.addWidget(parts["table"])
    layout.addLayout(_effects(editor, parts))
    row = QtWidgets.QHBoxLayout()
    row.addStretch(1)
    for name, text in (("undo", "Undo"), ("redo", "Redo")):
        parts[name] = QtWidgets.QPushButton(text, editor)
        row.addWidget(parts[name])
    layout.addLayout(row)
    return parts


def _selectors(editor: Any, node_combo: Any, parts: dict[str, Any]) -> Any:
    """Return the layout with the selectors of segmentation and source volume."""
    form = QtWidgets.QFormLayout()
    for name, label, kind in (
        ("segmentation", "Segmentation:", "vtkMRMLSegmentationNode"),
        ("source", "Source volume:", "vtkMRMLScalarVolumeNode"),
    ):
        parts[f"{name}_label"] = QtWidgets.QLabel(label, editor)
        parts[name] = node_combo(editor)
        parts[name].nodeTypes = [kind]
        parts[name].noneEnabled = True
        form.addRow(parts[f"{name}_label"], parts[name])
    return form


def _table(editor: Any) -> Any:
    """Return the list of segments."""
    table = QtWidgets.QTableWidget(0, 1, editor)
    table.setHorizontalHeaderLabels(["Name"])
    table.horizontalHeader().setStretchLastSection(True)
    table.verticalHeader().setVisible(False)
    table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode.SingleSelection)
    table.setMinimumHeight(110)
    table.setMaximumHeight(140)
    return table


def _effects(editor: Any, parts: dict[str, Any]) -> Any:
    """Return the layout with a button per effect."""
    grid = QtWidgets.QGridLayout()
    grid.setSpacing(2)
    parts["effects"] = {}
    for index, name in enumerate(EFFECTS):
        button = QtWidgets.QToolButton(editor)
        button.text = name
        button.checkable = True
        button.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)
        grid.addWidget(button, index // _COLUMNS, index % _COLUMNS)
        parts["effects"][name] = button
    return grid


def list_segments(table: Any, node: Any, current: str) -> None:
    """Fill the list with a segmentation's segments (None: empty), with their colors; select the current one."""
    blocked = table.blockSignals(True)
    segmentation = node.GetSegmentation() if node is not None else slicer.vtkSegmentation()
    table.setRowCount(segmentation.GetNumberOfSegments())
    for row in range(table.rowCount):
        segment, segment_id = segmentation.GetNthSegment(row), segmentation.GetNthSegmentID(row)
        color = QtGui.QPixmap(14, 14)
        color.fill(QtGui.QColor.fromRgbF(*segment.GetColor()))
        item = QtWidgets.QTableWidgetItem(QtGui.QIcon(color), segment.GetName())
        item.setData(QtCore.Qt.ItemDataRole.UserRole, segment_id)
        table.setItem(row, 0, item)
        if segment_id == current:
            table.setCurrentCell(row, 0)
    table.blockSignals(blocked)
