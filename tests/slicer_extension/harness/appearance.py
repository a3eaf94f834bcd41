"""Slicer's light and dark colors (Fusion style), and pictures of widgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6 import QtGui, QtWidgets

from tests.slicer_extension.harness import event_loop
from tests.slicer_extension.harness.qt_classes import raw

_DARK = {"window": "#2b2b2d", "base": "#1f1f21", "button": "#3a3a3d", "text": "#e6e6e6", "dim": "#8a8a8c"}
_LIGHT = {"window": "#efefef", "base": "#ffffff", "button": "#e7e7e8", "text": "#1c1c1c", "dim": "#9a9a9a"}
#: Width of Slicer's module panel, in pixels.
DOCK_WIDTH = 380


def set_theme(dark: bool) -> None:
    """Give the application Slicer's light or dark colors."""
    colors = _DARK if dark else _LIGHT
    palette, role = QtGui.QPalette(), QtGui.QPalette.ColorRole
    button = QtGui.QColor(colors["button"])
    for color, roles in (
        (colors["window"], (role.Window, role.ToolTipBase)),
        (colors["base"], (role.Base,)),
        (button, (role.Button, role.AlternateBase)),
        (colors["text"], (role.WindowText, role.Text, role.ButtonText, role.ToolTipText)),
        (colors["dim"], (role.PlaceholderText, role.Mid)),
        (button.lighter(130), (role.Light,)),
        (button.lighter(115), (role.Midlight,)),
        (button.darker(150), (role.Dark,)),
        (button.darker(220), (role.Shadow,)),
        ("#2f7cc4", (role.Highlight,)),
        ("#ffffff", (role.HighlightedText,)),
        ("#6db3f2" if dark else "#1a66b0", (role.Link,)),
    ):
        for one in roles:
            palette.setColor(one, QtGui.QColor(color))
    for one in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QtGui.QPalette.ColorGroup.Disabled, one, QtGui.QColor(colors["dim"]))
    QtWidgets.QApplication.setPalette(palette)
    event_loop.run()


def screenshot(widget: Any, path: Path, height: int, dark: bool = False) -> Path:
    """Write a picture of a widget as PNG, as wide as Slicer's module panel; the window gets its size back."""
    window = raw(widget, "window")()
    before = raw(window, "size")()
    set_theme(dark)
    raw(window, "show")()
    raw(window, "resize")(DOCK_WIDTH, height)
    event_loop.run(0.03)  # layouts and paint events
    path.parent.mkdir(parents=True, exist_ok=True)
    if not raw(widget, "grab")().save(str(path)):
        raise OSError(f"cannot write {path}")
    raw(window, "resize")(before)
    set_theme(dark=False)
    return path
