"""Stand-ins of the CTK widgets that panels use; :func:`make` is the module ``ctk``."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from tests.slicer_extension.harness import dialogs
from tests.slicer_extension.harness.collapsible import ctkCollapsibleButton
from tests.slicer_extension.harness.raw import raw
from tests.slicer_extension.harness.standin import StandIn, attribute, register, state


@register
class ctkComboBox(StandIn, QtWidgets.QComboBox):
    """A combo box with a text for when nothing is selected."""

    NATIVE = True
    defaultText = attribute(str, "defaultText", "")


@register
class ctkCheckBox(StandIn, QtWidgets.QCheckBox):
    """A check box."""

    NATIVE = True


@register
class ctkPushButton(StandIn, QtWidgets.QPushButton):
    """A push button whose text can be elided."""

    NATIVE = True
    elideMode = attribute(int, "elideMode", 0)


@register
class ctkMenuButton(StandIn, QtWidgets.QPushButton):
    """A push button with a menu at its side."""

    NATIVE = True


@register
class ctkDoubleSpinBox(StandIn, QtWidgets.QDoubleSpinBox):
    """A spin box for numbers with digits after the point."""

    NATIVE = True


@register
class ctkFittedTextBrowser(StandIn, QtWidgets.QTextBrowser):
    """A text browser as high as its text."""

    NATIVE = True
    collapsed = attribute(bool, "collapsed", False)
    collapsibleText = attribute(str, "collapsibleText", "")


class ctkMessageBox(StandIn, dialogs.MessageBox):
    """A message box that can be told not to appear again."""

    NATIVE = True
    dontShowAgainSettingsKey = attribute(str, "dontShowAgainSettingsKey", "")
    dontShowAgainVisible = attribute(bool, "dontShowAgainVisible", False)


@register
class ctkSliderWidget(StandIn, QtWidgets.QWidget):
    """A slider and a spin box that show one number."""

    NATIVE = True
    SIGNALS = ("valueChanged(double)", "valueIsChanging(double)", "valueEdited(double)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        box = QtWidgets.QDoubleSpinBox(self)
        slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal, self)
        layout.addWidget(slider)
        layout.addWidget(box)
        state(self).update(box=box, slider=slider)
        slider.setRange(0, 1000)
        box.connect("valueChanged(double)", self._box_changed)
        slider.connect("valueChanged(int)", self._slider_moved)

    def _span(self) -> float:
        return float(self.maximum - self.minimum) or 1.0

    def _box_changed(self, value: float) -> None:
        slider = state(self)["slider"]
        blocked = slider.blockSignals(True)
        slider.setValue(round((value - self.minimum) / self._span() * 1000))
        slider.blockSignals(blocked)
        self._emit("valueIsChanging(double)", value)
        self._emit("valueChanged(double)", value)

    def _slider_moved(self, position: int) -> None:
        self.value = self.minimum + position / 1000 * self._span()

    def _read(name: str) -> Any:
        def read(self: Any) -> Any:
            return getattr(state(self)["box"], name)

        return read

    def _write(name: str) -> Any:
        def write(self: Any, value: Any) -> None:
            setattr(state(self)["box"], name, value)

        return write

    value = QtCore.Property(float, _read("value"), _write("value"))
    minimum = QtCore.Property(float, _read("minimum"), _write("minimum"))
    maximum = QtCore.Property(float, _read("maximum"), _write("maximum"))
    singleStep = QtCore.Property(float, _read("singleStep"), _write("singleStep"))
    decimals = QtCore.Property(int, _read("decimals"), _write("decimals"))
    suffix = QtCore.Property(str, _read("suffix"), _write("suffix"))


@register
class ctkPathLineEdit(StandIn, QtWidgets.QWidget):
    """A line for a path with a button to look for it; keeps a history."""

    NATIVE = True
    SIGNALS = ("currentPathChanged(QString)", "validInputChanged(bool)")
    # bits of ctkPathLineEdit::Filter
    Dirs, Drives, Files, Hidden, Writable = 0x1, 0x4, 0x2, 0x100, 0x20
    showBrowseButton = attribute(bool, "showBrowseButton", True)
    showHistoryButton = attribute(bool, "showHistoryButton", True)
    settingKey = attribute(str, "settingKey", "")
    label = attribute(str, "label", "")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        combo, button = QtWidgets.QComboBox(self), QtWidgets.QToolButton(self)
        combo.setEditable(True)
        button.text = "..."
        layout.addWidget(combo, 1)
        layout.addWidget(button)
        state(self).update(combo=combo)
        combo.connect("currentTextChanged(QString)", lambda text: self._emit("currentPathChanged(QString)", text))
        button.connect("clicked()", self.browse)

    def _current(self) -> str:
        return str(state(self)["combo"].currentText)

    def _set_current(self, path: str) -> None:
        state(self)["combo"].setCurrentText(path)

    currentPath = QtCore.Property(str, _current, _set_current)

    def browse(self) -> None:
        """Let the user choose."""
        path = dialogs.FileDialog.getOpenFileName(self, self.label or "Select a file")
        if path:
            self.currentPath = path

    def addCurrentPathToHistory(self) -> None:
        """Remember the path for the next time."""
        combo = state(self)["combo"]
        if combo.findText(self.currentPath) < 0:
            combo.addItem(self.currentPath)


@register
class ctkDirectoryButton(StandIn, QtWidgets.QWidget):
    """A button that shows a folder and lets the user choose another."""

    NATIVE = True
    SIGNALS = ("directoryChanged(QString)", "directorySelected(QString)")
    caption = attribute(str, "caption", "")
    displayAbsolutePath = attribute(bool, "displayAbsolutePath", True)

    def __init__(self, *args: Any) -> None:
        super().__init__(next((one for one in args if isinstance(one, QtWidgets.QWidget)), None))
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        button = QtWidgets.QPushButton(self)
        button.icon = raw(self, "style")().standardIcon(QtWidgets.QStyle.StandardPixmap.SP_DirIcon)
        layout.addWidget(button)
        state(self).update(button=button, directory="")
        button.connect("clicked()", self.browse)
        self.directory = next((one for one in args if isinstance(one, str)), QtCore.QDir.currentPath())

    def _directory(self) -> str:
        return str(state(self)["directory"])

    def _set_directory(self, folder: str) -> None:
        if folder == self._directory():
            return
        state(self)["directory"] = folder
        metrics = QtGui.QFontMetrics(raw(self, "font")())
        state(self)["button"].text = metrics.elidedText(folder, QtCore.Qt.TextElideMode.ElideMiddle, 220)
        self._emit("directoryChanged(QString)", folder)

    directory = QtCore.Property(str, _directory, _set_directory)

    def browse(self) -> None:
        """Let the user choose."""
        folder = dialogs.FileDialog.getExistingDirectory(self, self.caption or "Select a folder", self.directory)
        if folder:
            self.directory = folder
            self._emit("directorySelected(QString)", folder)


def make() -> ModuleType:
    """Return the module ``ctk``, and put it where ``import ctk`` finds it."""
    if "ctk" in sys.modules:
        return sys.modules["ctk"]
    module = ModuleType("ctk")
    vars(module).update({name: value for name, value in globals().items() if name.startswith("ctk")})
    module.ctkCollapsibleButton = ctkCollapsibleButton  # type: ignore[attr-defined]
    sys.modules["ctk"] = module
    return module
