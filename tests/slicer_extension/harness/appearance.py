"""Slicer's light and dark colors (Fusion style), and pictures of widgets."""

from pathlib import Path
from typing import Any

from PySide6 import QtGui, QtWidgets

from tests.slicer_extension.harness import event_loop
from tests.slicer_extension.harness.qt_classes import raw

_DARK = {"button": "#3a3a3d", "window": "#2b2b2d", "base": "#1f1f21", "text": "#e6e6e6", "dim": "#8a8a8c"}
_LIGHT = {"button": "#e7e7e8", "window": "#efefef", "base": "#ffffff", "text": "#1c1c1c", "dim": "#9a9a9a"}
#: Width of Slicer's module panel, in pixels.
DOCK_WIDTH = 380


def set_theme(dark: bool) -> None:
    colors = {name: QtGui.QColor(color) for name, color in (_DARK if dark else _LIGHT).items()}
    palette, role = QtGui.QPalette(colors["button"], colors["window"]), QtGui.QPalette.ColorRole
    palette.setColor(role.Base, colors["base"])
    palette.setColor(role.AlternateBase, colors["button"])
    palette.setColor(role.PlaceholderText, colors["dim"])
    palette.setColor(role.Link, QtGui.QColor("#6db3f2" if dark else "#1a66b0"))
    palette.setColor(role.Highlight, QtGui.QColor("#2f7cc4"))
    palette.setColor(role.HighlightedText, QtGui.QColor("#ffffff"))
    for one in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(one, colors["text"])
        palette.setColor(QtGui.QPalette.ColorGroup.Disabled, one, colors["dim"])
    QtWidgets.QApplication.setPalette(palette)
    event_loop.run()


def screenshot(widget: Any, path: Path, height: int, dark: bool = False) -> Path:
    """Write a picture of a widget as PNG, as wide as Slicer's module panel."""
    set_theme(dark)
    raw(raw(widget, "window")(), "resize")(DOCK_WIDTH, height)
    event_loop.run(0.03)  # layouts and paint events
    path.parent.mkdir(parents=True, exist_ok=True)
    if not raw(widget, "grab")().save(str(path)):
        raise OSError(f"cannot write {path}")
    set_theme(dark=False)
    return path
