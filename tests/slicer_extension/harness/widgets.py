"""What replaces C++ widgets: the base class, and the CTK widgets that the panel and ``slicer.util`` use.

A replacement is a Python subclass of a Qt class and as strict as one. It declares its signals with their C++ signatures
in ``SIGNALS`` and its properties with :func:`attribute`, and has no property that the real widget lacks. Methods with
the real widget's names do what its do.
"""

from __future__ import annotations

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
    """Class decorator: .ui files may name this class."""
    WIDGETS[cls.__name__] = cls
    return cls


def attribute(kind: Any, name: str, default: Any, changed: Callable[[Any], None] | None = None) -> QtCore.Property:
    """Return a Qt property of a Python type or a C++ type's name that keeps its value in the object."""

    def read(self: Any) -> Any:
        return state(self).get(name, default)

    def write(self: Any, value: Any) -> None:
        if state(self).get(name, default) == value:
            return
        state(self)[name] = value
        if changed is not None:
            changed(self)

    return QtCore.Property(kind, read, write)


def state(widget: Any) -> dict[str, Any]:
    """Return the dictionary in which a replacement keeps what the C++ object would."""
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
_SIZE_HINT, _MINIMUM_SIZE_HINT = QtWidgets.QWidget.sizeHint, QtWidgets.QWidget.minimumSizeHint


@register
class ctkCollapsibleButton(CppWidget, QtWidgets.QWidget):
    """A titled section that folds.

    Folding hides the children, unfolding shows those again that were not hidden on purpose, as CTK's does. It is a
    widget here rather than a button, so that Qt lays out what is inside.
    """

    SIGNALS = ("contentsCollapsed(bool)",)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        state(self).update(collapsed=False, applying=False, hidden=set())
        self.setContentsMargins(4, _HEADER + 2, 4, 2)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Preferred)

    text = attribute(str, "text", "", lambda self: raw(self, "update")())

    def _collapsed(self) -> bool:
        return bool(state(self)["collapsed"])

    def _set_collapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed():
            return
        children = [child for child in raw(self, "children")() if isinstance(child, QtWidgets.QWidget)]
        if collapsed:
            state(self)["hidden"] = {child for child in children if raw(child, "isHidden")()}
        state(self)["collapsed"] = collapsed
        for child in children:
            self._apply(child)
        raw(self, "updateGeometry")()
        raw(self, "update")()
        self._emit("contentsCollapsed(bool)", collapsed)

    collapsed = QtCore.Property(bool, _collapsed, _set_collapsed)

    def _apply(self, child: Any) -> None:
        state(self)["applying"] = True
        raw(child, "setVisible")(not self._collapsed() and child not in state(self)["hidden"])
        state(self)["applying"] = False

    def childEvent(self, event: Any) -> None:
        if event.added() and isinstance(event.child(), QtWidgets.QWidget):
            raw(event.child(), "installEventFilter")(self)

    def eventFilter(self, child: Any, event: Any) -> bool:
        """Remember which children are hidden on purpose, and keep a folded section's children hidden."""
        if state(self)["applying"] or not self._collapsed():
            return False
        if event.type() == QtCore.QEvent.Type.ShowToParent:
            state(self)["hidden"].discard(child)
            self._apply(child)
        elif event.type() == QtCore.QEvent.Type.HideToParent:
            state(self)["hidden"].add(child)
        return False

    def mouseReleaseEvent(self, event: Any) -> None:
        if event.position().y() < _HEADER:
            self.collapsed = not self.collapsed

    def minimumSizeHint(self) -> Any:
        return self._with_header(_MINIMUM_SIZE_HINT(self))

    def sizeHint(self) -> Any:
        return self._with_header(_SIZE_HINT(self))

    def _with_header(self, inner: Any) -> Any:
        height = _HEADER + 2 if self._collapsed() else max(inner.height(), _HEADER + 2)
        return QtCore.QSize(max(inner.width(), 60), height)

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        palette, role = raw(self, "palette")(), QtGui.QPalette.ColorRole
        band = QtCore.QRect(0, 0, raw(self, "width")(), _HEADER)
        painter.fillRect(band, palette.color(role.Button))
        painter.setPen(palette.color(role.Mid))
        painter.drawRect(band.adjusted(0, 0, -1, -1))
        painter.setPen(palette.color(role.ButtonText))
        flags = QtCore.Qt.AlignmentFlag.AlignVCenter | QtCore.Qt.AlignmentFlag.AlignLeft
        painter.drawText(band.adjusted(8, 0, -8, 0), flags, f"{'▸' if self._collapsed() else '▾'}  {self.text}")
        painter.end()


@register
class ctkDirectoryButton(CppWidget, QtWidgets.QWidget):
    """A button that shows a folder and lets the user choose another."""

    SIGNALS = ("directoryChanged(QString)", "directorySelected(QString)")
    caption = attribute(str, "caption", "")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        layout, button = QtWidgets.QHBoxLayout(self), QtWidgets.QPushButton(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(button)
        button.icon = raw(self, "style")().standardIcon(QtWidgets.QStyle.StandardPixmap.SP_DirIcon)
        button.connect("clicked()", self.browse)
        button.text = QtCore.QDir.currentPath()
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
