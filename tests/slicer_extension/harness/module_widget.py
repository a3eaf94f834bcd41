"""Loads a scripted module as Slicer does: module file, module class, panel, ``setup``, ``enter``, ``exit``, reload."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from tests.slicer_extension.harness import watchdog
from tests.slicer_extension.harness.modules import ScriptedModule
from tests.slicer_extension.harness.qmrml import qSlicerWidget
from tests.slicer_extension.harness.raw import raw
from tests.slicer_extension.harness.standin import register, state


@register
class qSlicerScriptedLoadableModuleWidget(qSlicerWidget):
    """The widget that a scripted module's panel fills, and that calls its ``setup``, ``enter`` and ``exit``."""

    NATIVE = True

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        state(self).update(panel=None, entered=False, name="")
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)

    def self(self) -> Any:
        """Return the Python object of the panel."""
        return state(self)["panel"]

    def make_panel(self, name: str) -> Any:
        """Make the module's panel: an instance of ``<name>Widget`` on this widget, set up."""
        state(self)["name"] = name
        panel_class = getattr(sys.modules[name], f"{name}Widget", None)
        if panel_class is None:
            raise AttributeError(f"{name}.py has no class {name}Widget")
        panel = panel_class(self)
        state(self)["panel"] = panel
        setattr(slicer.modules, f"{name}Widget", panel)
        with watchdog.section(f"{name}Widget.setup"):
            panel.setup()
        return panel

    def reload(self) -> None:
        """Make the panel anew, after its file was loaded again; the old one was cleaned up."""
        was_entered = self.isEntered()
        state(self)["entered"] = False
        self.make_panel(state(self)["name"])
        if was_entered:
            self.enter()

    def isEntered(self) -> bool:
        """Return whether the module is the one being shown."""
        return bool(state(self)["entered"])

    def enter(self) -> None:
        """Show the module, as choosing it in Slicer's list does."""
        if self.isEntered():
            return
        state(self)["entered"] = True
        with watchdog.section(f"{state(self)['name']}Widget.enter"):
            getattr(self.self(), "enter", _nothing)()

    def exit(self) -> None:
        """Leave the module, as choosing another one does."""
        if not self.isEntered():
            return
        state(self)["entered"] = False
        with watchdog.section(f"{state(self)['name']}Widget.exit"):
            getattr(self.self(), "exit", _nothing)()


def load(path: Path | str, width: int = 400, height: int = 900) -> Any:
    """Load a scripted module and show its panel.

    Args:
        path: The module's file; it has to define a class of its own name, and ``<name>Widget``.
        width: Pixels of the shown panel.
        height: The same.

    Returns:
        The panel, an instance of ``<name>Widget`` after ``setup`` and ``enter``.
    """
    path = Path(path).resolve()
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = _import(name, path)
    if not hasattr(module, name):
        raise AttributeError(f"{path} has no class {name}; Slicer looks for one named like the file")
    described = ScriptedModule(str(path), name)
    described._self = getattr(module, name)(described)
    setattr(slicer.modules, name.lower(), described)
    # a tool window of the main window, so that the main window's shortcuts work in it as they do in Slicer's dock
    top = qSlicerScriptedLoadableModuleWidget(slicer.util.mainWindow())
    raw(top, "setWindowFlags")(QtCore.Qt.WindowType.Tool)
    raw(top, "setWindowTitle")(described.title)
    top.setMRMLScene(slicer.mrmlScene)
    described._widget = top
    panel = top.make_panel(name)
    raw(top, "resize")(width, height)
    raw(top, "show")()
    top.enter()
    slicer.app.processEvents()
    return panel


def _import(name: str, path: Path) -> Any:
    """Execute a module's file; packages beside it stay imported, as after Slicer's Reload."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _nothing() -> None:
    """Do what a panel without ``enter`` or ``exit`` does."""
