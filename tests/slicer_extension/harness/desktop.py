"""Slicer's user interface: ``qt``, ``ctk``, the qMRML widgets, ``slicer.app`` with windows, scripted modules."""

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from tests.slicer_extension.harness import (
    appearance,
    dialogs,
    event_loop,
    failures,
    mrml_scene,
    qt_module,
    scripted_module,
    signals,
    widgets,
)
from tests.slicer_extension.harness.qt_classes import raw
from tests.slicer_extension.harness.segment_editor import make_effect_factory, qMRMLSegmentEditorWidget

#: What Qt says that is no fault of the code under test.
_HARMLESS = ("This plugin does not support", "propagateSizeHints", "QFontDatabase", "XDG_RUNTIME_DIR")


class ModuleManager(widgets.CppWidget, QtCore.QObject):
    SIGNALS = ("moduleAboutToBeUnloaded(QString)",)

    def module(self, name: str) -> Any:
        return getattr(slicer.modules, name.lower(), None)


class Application(widgets.CppWidget, QtCore.QObject):
    SIGNALS = ("startupCompleted()",)


class LayoutManager(widgets.CppWidget, QtCore.QObject):
    SIGNALS = ("layoutChanged(int)",)

    def setLayout(self, layout: int) -> None:
        self._emit("layoutChanged(int)", layout)


def start() -> Any:
    """Make a fresh scene and a fresh user interface around it; returns the scene. :func:`stop` ends it."""
    qt = qt_module.make()
    widgets.make_ctk()
    QtCore.qInstallMessageHandler(_on_qt_message)
    scene = mrml_scene.start()
    event_loop.take_blocks()
    appearance.set_theme(dark=False)
    assert widgets.WIDGETS["qMRMLSegmentEditorWidget"] is qMRMLSegmentEditorWidget
    for name, cls in widgets.WIDGETS.items():
        if name.startswith("q"):
            setattr(slicer, name, cls)
    ini = QtCore.QSettings.Format.IniFormat
    QtCore.QSettings.setDefaultFormat(ini)
    for scope in QtCore.QSettings.Scope:  # a new file, so that no test sees another's settings or the user's
        QtCore.QSettings.setPath(ini, scope, slicer.app.temporaryPath)
    QtCore.QCoreApplication.setOrganizationName("slicer.org")
    settings = qt.QSettings()
    modules, layout, window = ModuleManager(), LayoutManager(), QtWidgets.QMainWindow()
    application = Application()
    make_effect_factory()
    vars(slicer.app).update(
        connect=application.connect,
        completeStartup=lambda: application._emit("startupCompleted()"),
        moduleManager=lambda: modules,
        layoutManager=lambda: layout,
        userSettings=lambda: settings,
        processEvents=event_loop.run,
        testingEnabled=lambda: False,  # messages are shown, and the test answers them
        topLevelWidgets=QtWidgets.QApplication.topLevelWidgets,
    )
    raw(window, "setObjectName")("qSlicerMainWindow")
    raw(window, "show")()
    vars(slicer.modules)["_window"] = window  # keeps it
    return scene


def stop() -> None:
    scripted_module.unload_all()
    for window in QtWidgets.QApplication.topLevelWidgets():
        raw(window, "hide")()
        raw(window, "deleteLater")()
    vars(slicer.modules).pop("_window")
    event_loop.run()
    signals.disconnect_all()
    mrml_scene.stop()
    gc.collect()
    QtCore.qInstallMessageHandler(None)


@contextlib.contextmanager
def running() -> Iterator[Any]:
    """A user interface for the time of the block; failures and unused dialog answers raise at its end."""
    with failures.recording():
        scene = start()
        try:
            yield scene
        finally:
            stop()
    dialogs.fail_if_unused()


def _on_qt_message(kind: Any, _context: Any, message: str) -> None:
    """Record what Qt warns about: it means that something did not happen."""
    bad = (QtCore.QtMsgType.QtWarningMsg, QtCore.QtMsgType.QtCriticalMsg, QtCore.QtMsgType.QtFatalMsg)
    if kind in bad and not any(text in message for text in _HARMLESS):
        failures.record(f"Qt: {message}")
