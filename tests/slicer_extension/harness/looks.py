"""Light and dark colors as in Slicer (Fusion style), and pictures of widgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6 import QtGui, QtWidgets

from tests.slicer_extension.harness.raw import raw

_DARK = {"window": "#2b2b2d", "base": "#1f1f21", "button": "#3a3a3d", "text": "#e6e6e6", "dim": "#8a8a8c"}
_LIGHT = {"window": "#efefef", "base": "#ffffff", "button": "#e7e7e8", "text": "#1c1c1c", "dim": "#9a9a9a"}
_HIGHLIGHT = "#2f7cc4"

#: Width of Slicer's module panel.
DOCK_WIDTH = 380


def set_theme(dark: bool) -> None:
    """Give the application Slicer's light or dark colors."""
    application = QtWidgets.QApplication.instance()
    QtWidgets.QApplication.setPalette(_palette(_DARK if dark else _LIGHT))
    raw(application, "processEvents")()


def screenshot(widget: Any, path: Path | str, width: int = DOCK_WIDTH, dark: bool = False, height: int = 0) -> Path:
    """Write a picture of a widget as PNG, as wide as Slicer's module panel.

    Args:
        widget: The widget; its size is changed, and given back.
        path: The file; missing folders are made.
        width: Pixels.
        dark: Dark colors instead of light ones.
        height: Pixels; 0 takes what the widget wants at that width.

    Returns:
        The path.
    """
    window = raw(widget, "window")()
    before = raw(window, "size")()
    set_theme(dark)
    raw(window, "show")()
    raw(window, "resize")(width, height or before.height())
    _settle()
    if not height:
        raw(window, "resize")(width, _wanted_height(widget, width))
        _settle()
    picture = raw(widget, "grab")()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not picture.save(str(path)):
        raise OSError(f"cannot write {path}")
    raw(window, "resize")(before)
    set_theme(dark=False)
    return path


def _wanted_height(widget: Any, width: int) -> int:
    """Return how high a widget wants to be; of scrolled contents, the contents."""
    wanted = max(raw(widget, "sizeHint")().height(), raw(widget, "minimumSizeHint")().height())
    for area in raw(widget, "findChildren")(QtWidgets.QScrollArea):
        inner = raw(area, "widget")()
        if inner is not None:
            outside = raw(widget, "height")() - raw(raw(area, "viewport")(), "height")()
            layout = raw(inner, "layout")()
            grows = layout is not None and layout.hasHeightForWidth()
            tall = layout.totalHeightForWidth(width) if grows else raw(inner, "sizeHint")().height()
            wanted = max(wanted, tall + outside)
    return wanted


def _settle() -> None:
    """Let layouts and paint events happen."""
    for _ in range(3):
        raw(QtWidgets.QApplication.instance(), "processEvents")()


def _palette(colors: dict[str, str]) -> QtGui.QPalette:
    """Return a palette of a few colors."""
    palette, role = QtGui.QPalette(), QtGui.QPalette.ColorRole
    for kind, roles in (
        ("window", (role.Window, role.ToolTipBase)),
        ("base", (role.Base,)),
        ("button", (role.Button, role.AlternateBase)),
        ("text", (role.WindowText, role.Text, role.ButtonText, role.ToolTipText)),
        ("dim", (role.PlaceholderText, role.Mid)),
    ):
        for one in roles:
            palette.setColor(one, QtGui.QColor(colors[kind]))
    for one in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QtGui.QPalette.ColorGroup.Disabled, one, QtGui.QColor(colors["dim"]))
    button = QtGui.QColor(colors["button"])
    palette.setColor(role.Light, button.lighter(130))
    palette.setColor(role.Midlight, button.lighter(115))
    palette.setColor(role.Dark, button.darker(150))
    palette.setColor(role.Shadow, button.darker(220))
    palette.setColor(role.Highlight, QtGui.QColor(_HIGHLIGHT))
    palette.setColor(role.HighlightedText, QtGui.QColor("#ffffff"))
    palette.setColor(role.Link, QtGui.QColor("#6db3f2" if colors is _DARK else "#1a66b0"))
    return palette
