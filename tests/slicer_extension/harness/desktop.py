"""The desktop half: ``qt``, ``ctk``, the qMRML widgets, ``slicer.app`` with a user interface, and a main window."""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from tests.slicer_extension.harness import boot, ctk_widgets, dialogs, faults, looks, qt_module, signals, watchdog
from tests.slicer_extension.harness.gui_application import GuiApplication
from tests.slicer_extension.harness.raw import raw
from tests.slicer_extension.harness.standin import WIDGETS, unobserve_all

#: What Qt says that is no fault of the code under test.
_HARMLESS = ("This plugin does not support", "propagateSizeHints", "QFontDatabase", "XDG_RUNTIME_DIR")


def start() -> Any:
    """Make a fresh scene and a fresh desktop around it; returns the scene. :func:`stop` ends it."""
    application = qt_module.application()
    qt: ModuleType = qt_module.make()
    ctk_widgets.make()
    from tests.slicer_extension.harness import module_widget, modules, segment_editor  # noqa: F401  they need qt

    _freeze_imported()
    QtCore.qInstallMessageHandler(_on_qt_message)
    scene = boot.boot()
    dialogs.reset()
    watchdog.take()
    looks.set_theme(dark=False)
    for name, cls in WIDGETS.items():
        if name.startswith(("qMRML", "qSlicer")):
            setattr(slicer, name, cls)
    slicer.qSlicerScriptedLoadableModuleWidget = module_widget.qSlicerScriptedLoadableModuleWidget
    slicer.qSlicerScriptedLoadableModule = modules.ScriptedModule
    _fresh_settings(qt, Path(slicer.app.temporaryPath) / "settings")
    slicer.app = GuiApplication(slicer.app, application, qt.QSettings)
    slicer.app.main_window = _main_window()
    return scene


def stop() -> None:
    """Close all windows and take the desktop away; nothing of it is left for the next one."""
    if not isinstance(getattr(slicer, "app", None), GuiApplication):
        return
    manager = slicer.app.moduleManager()
    for name in manager.scripted_names():
        manager.unload(name)
    for window in QtWidgets.QApplication.topLevelWidgets():
        raw(window, "hide")()
        raw(window, "deleteLater")()
    slicer.app.main_window = None
    qt_module.forget_single_shots()
    unobserve_all()
    signals.disconnect_all()
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    raw(QtWidgets.QApplication.instance(), "processEvents")()
    boot.shut_down()
    gc.collect()
    QtCore.qInstallMessageHandler(None)


@contextlib.contextmanager
def running() -> Iterator[Any]:
    """A desktop for the time of the block; faults and unused dialog answers fail at its end."""
    with faults.watched():
        faults.take()
        scene = start()
        try:
            yield scene
        finally:
            stop()
    faults.fail_if_any()
    dialogs.fail_if_unanswered()


@functools.lru_cache(maxsize=1)
def _freeze_imported() -> None:
    """Spare what is imported, and stays, the search for garbage after each test; once."""
    gc.freeze()


def _main_window() -> Any:
    """Return Slicer's main window, as empty as it can be."""
    window = QtWidgets.QMainWindow()
    raw(window, "setObjectName")("qSlicerMainWindow")
    raw(window, "setWindowTitle")("3D Slicer")
    raw(window, "statusBar")()
    raw(window, "show")()
    return window


def _fresh_settings(qt: ModuleType, folder: Path) -> None:
    """Keep ``qt.QSettings()`` in a new file, so that no test sees another's settings or the user's."""
    kinds = QtCore.QSettings
    kinds.setDefaultFormat(kinds.Format.IniFormat)
    for scope in (kinds.Scope.UserScope, kinds.Scope.SystemScope):
        kinds.setPath(kinds.Format.IniFormat, scope, str(folder))
    QtCore.QCoreApplication.setOrganizationName("slicer.org")
    QtCore.QCoreApplication.setApplicationName("Slicer")


def _on_qt_message(kind: Any, _context: Any, message: str) -> None:
    """Record what Qt warns about: it means that something did not happen."""
    bad = (QtCore.QtMsgType.QtWarningMsg, QtCore.QtMsgType.QtCriticalMsg, QtCore.QtMsgType.QtFatalMsg)
    if kind in bad and not any(text in message for text in _HARMLESS):
        faults.record(f"Qt: {message}")
