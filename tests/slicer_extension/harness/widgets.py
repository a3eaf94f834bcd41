"""What replaces C++ widgets: the base class, and the CTK widgets that the panel and ``slicer.util`` use.

A replacement is a Python subclass of a Qt class and as strict as one: it has no property that the real widget lacks.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets
from slicer.util import VTKObservationMixin

from tests.slicer_extension.harness import dialogs, signals
from tests.slicer_extension.harness.qt_classes import raw

#: Class name -> class, of everything that a .ui file may name beside Qt's own widgets.
WIDGETS: dict[str, type] = {}


def register(cls: type) -> type:
    WIDGETS[cls.__name__] = cls
    return cls


def attribute(kind: Any, name: str, default: Any, changed: Callable[[Any], None] | None = None) -> QtCore.Property:
    """Return a Qt property of a Python type or a C++ type's name that keeps its value in the object."""

    def read(self: Any) -> Any:
        return state(self).get(name, default)

    def write(self: Any, value: Any) -> None:
        is_new = read(self) != value
        state(self)[name] = value
        if is_new and changed is not None:
            changed(self)

    return QtCore.Property(kind, read, write)


def state(widget: Any) -> dict[str, Any]:
    return raw(widget, "__dict__").setdefault("_state", {})


def observer(widget: Any) -> VTKObservationMixin:
    """Return what observes scenes and nodes for a widget, and no longer than the widget exists."""
    if "observer" not in state(widget):
        state(widget)["observer"] = made = VTKObservationMixin()
        widget.connect("destroyed()", made.removeObservers)
    return state(widget)["observer"]


class CppWidget:
    """Base of what replaces a C++ class: emitting declared signals, and the setters of properties."""

    def __getattr__(self, name: str) -> Any:
        """Make ``setX`` of a property ``x`` that the class declares; anything else does not exist."""
        property_name = name[3:4].lower() + name[4:]
        if name.startswith("set") and isinstance(getattr(type(self), property_name, None), QtCore.Property):
            return lambda value: setattr(self, property_name, value)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def _emit(self, signature: str, *args: Any) -> None:
        signals.emit(self, signature, *args)


_HEADER = 22


@register
class ctkCollapsibleButton(CppWidget, QtWidgets.QWidget):
    """A titled section that folds to its title; no button here, so that Qt lays out what is inside."""

    SIGNALS = ("contentsCollapsed(bool)",)
    text = attribute(str, "text", "", lambda self: raw(self, "update")())
    collapsed = attribute(bool, "collapsed", False, lambda self: self._fold())

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setContentsMargins(4, _HEADER + 2, 4, 2)
        raw(self, "setMinimumHeight")(_HEADER)

    def _fold(self) -> None:
        raw(self, "setMaximumHeight")(_HEADER if self.collapsed else 2**24 - 1)
        self.setContentsMargins(4, 10_000 if self.collapsed else _HEADER + 2, 4, 2)  # out of sight
        raw(self, "update")()
        self._emit("contentsCollapsed(bool)", self.collapsed)

    def mouseReleaseEvent(self, event: Any) -> None:
        if event.position().y() < _HEADER:
            self.collapsed = not self.collapsed

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        palette, role = raw(self, "palette")(), QtGui.QPalette.ColorRole
        band = QtCore.QRect(0, 0, raw(self, "width")(), _HEADER)
        painter.fillRect(band, palette.color(role.Button))
        painter.setPen(palette.color(role.Mid))
        painter.drawRect(band.adjusted(0, 0, -1, -1))
        painter.setPen(palette.color(role.ButtonText))
        flags = QtCore.Qt.AlignmentFlag.AlignVCenter | QtCore.Qt.AlignmentFlag.AlignLeft
        painter.drawText(band.adjusted(8, 0, -8, 0), flags, f"{'▸' if self.collapsed else '▾'}  {self.text}")
        painter.end()


@register
class ctkDirectoryButton(CppWidget, QtWidgets.QWidget):
    SIGNALS = ("directoryChanged(QString)", "directorySelected(QString)")
    caption = attribute(str, "caption", "")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        layout, button = QtWidgets.QHBoxLayout(self), QtWidgets.QPushButton(QtCore.QDir.currentPath(), self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(button)
        button.connect("clicked()", self.browse)
        state(self).update(button=button)

    def _directory(self) -> str:
        return str(state(self)["button"].text)

    def _set_directory(self, folder: str) -> None:
        """Take a folder; as CTK's, tells that one was selected, but not that it changed when it did not."""
        changed, chosen = QtCore.QDir(folder) != QtCore.QDir(self._directory()), QtCore.QDir(folder).absolutePath()
        state(self)["button"].text = chosen
        self._emit("directorySelected(QString)", chosen)
        if changed:
            self._emit("directoryChanged(QString)", chosen)

    directory = QtCore.Property(str, _directory, _set_directory)

    def browse(self) -> None:
        folder = dialogs.FileDialog.getExistingDirectory(self, self.caption or self.toolTip, self.directory)
        if folder:
            self.directory = folder


class ctkMessageBox(CppWidget, dialogs.MessageBox):
    """The message box of ``slicer.util``'s questions."""


def make_ctk() -> None:
    module = ModuleType("ctk")
    vars(module).update({name: value for name, value in globals().items() if name.startswith("ctk")})
    sys.modules["ctk"] = module
