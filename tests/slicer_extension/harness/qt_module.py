"""The module ``qt`` that scripts in Slicer import: all of Qt in one flat namespace, PythonQt's way."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from tests.slicer_extension.harness import dialogs, pythonqt
from tests.slicer_extension.harness.raw import raw
from tests.slicer_extension.harness.ui_loader import UiLoader

_waiting: set[Any] = set()


def make() -> ModuleType:
    """Return the module, and put it where ``import qt`` finds it."""
    if "qt" in sys.modules:
        return sys.modules["qt"]
    pythonqt.install()
    module = ModuleType("qt")
    for source in (QtCore, QtGui, QtWidgets):
        for name in dir(source):
            # PySide6's own helpers (Signal, Slot, Property) do not exist in PythonQt
            if name.startswith("Q") and not name.startswith(("QT_", "QtMsg")):
                setattr(module, name, getattr(source, name))
    QtCore.QTimer.singleShot = staticmethod(_single_shot)
    vars(module).update(
        QUiLoader=UiLoader,
        QSettings=Settings,
        QMessageBox=dialogs.MessageBox,
        QFileDialog=dialogs.FileDialog,
        QInputDialog=dialogs.InputDialog,
        qVersion=QtCore.qVersion,
    )
    sys.modules["qt"] = module
    return module


class Settings(QtCore.QSettings):
    """``qt.QSettings`` as it is after a restart of Slicer: what is no text or list came back from the file as text.

    ``value`` has PythonQt's signature: no type argument.
    """

    NATIVE = True

    def value(self, key: str, default: Any = None) -> Any:
        """Return a setting, or the default as it is."""
        if not self.contains(key):
            return default
        kept = QtCore.QSettings.value(self, key)
        if isinstance(kept, bool):
            return "true" if kept else "false"
        return str(kept) if isinstance(kept, (int, float)) else kept


def _single_shot(milliseconds: int, *target: Any) -> None:
    """Call a callable, or a receiver's slot given as text, once and later."""
    slot = target[0] if len(target) == 1 else getattr(target[0], target[1].split("(")[0])
    if not callable(slot):
        raise TypeError(f"QTimer.singleShot cannot call {slot!r}")
    timer = QtCore.QTimer()
    _waiting.add(timer)  # nobody else holds it
    raw(timer, "setSingleShot")(True)
    timer.connect("timeout()", slot)
    timer.connect("timeout()", lambda: _waiting.discard(timer))
    timer.start(int(milliseconds))


def forget_single_shots() -> None:
    """Drop the calls that are still to come."""
    _waiting.clear()


def application() -> Any:
    """Return the process's one ``QApplication``, drawn off the screen, in the Fusion style."""
    existing = QtWidgets.QApplication.instance()
    if existing is not None:
        return existing
    made = QtWidgets.QApplication(["Slicer", "-platform", "offscreen"])
    raw(made, "setStyle")("Fusion")
    raw(made, "setQuitOnLastWindowClosed")(False)
    return made
