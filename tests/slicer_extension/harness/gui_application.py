"""Stand-in of ``slicer.app`` with a user interface (``qSlicerApplication``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from tests.slicer_extension.harness import watchdog
from tests.slicer_extension.harness.core_application import CoreApplication
from tests.slicer_extension.harness.layout import LayoutManager
from tests.slicer_extension.harness.module_manager import ModuleManager
from tests.slicer_extension.harness.raw import raw


class GuiApplication(CoreApplication):
    """The core's answers, and those about windows, settings and the event loop."""

    def __init__(self, core: CoreApplication, application: Any, settings_class: Any) -> None:
        super().__init__(core.applicationLogic(), core.temporaryPath)
        self.main_window: Any = None
        self._application = application
        self._settings = settings_class()
        self._revision_settings = settings_class(
            str(Path(core.temporaryPath) / "settings" / "revision.ini"), QtCore.QSettings.Format.IniFormat
        )
        self._modules = ModuleManager()
        self._layout = LayoutManager()

    def testingEnabled(self) -> bool:
        """Return False: messages are shown, and :mod:`dialogs` answers them."""
        return False

    def moduleManager(self) -> ModuleManager:
        """Return what looks modules up and announces their end."""
        return self._modules

    def layoutManager(self) -> Any:
        """Return what arranges the views."""
        return self._layout

    def settings(self) -> Any:
        """Return the user's settings."""
        return self._settings

    userSettings = settings

    def revisionUserSettings(self) -> Any:
        """Return the settings of this version of Slicer."""
        return self._revision_settings

    def processEvents(self, *_args: Any) -> None:
        """Let the event loop turn once."""
        with watchdog.turn_of_the_loop():
            raw(self._application, "processEvents")()

    def topLevelWidgets(self) -> list[Any]:
        """Return all windows."""
        return list(QtWidgets.QApplication.topLevelWidgets())

    def focusWidget(self) -> Any:
        """Return the widget that has the keyboard."""
        return QtWidgets.QApplication.focusWidget()

    def palette(self) -> QtGui.QPalette:
        """Return the colors."""
        return QtWidgets.QApplication.palette()

    def clipboard(self) -> Any:
        """Return the clipboard."""
        return QtGui.QGuiApplication.clipboard()

    def setOverrideCursor(self, cursor: Any) -> None:
        """Show another cursor until :meth:`restoreOverrideCursor`."""
        QtWidgets.QApplication.setOverrideCursor(QtGui.QCursor(cursor))

    def restoreOverrideCursor(self) -> None:
        """Show the cursor of before."""
        QtWidgets.QApplication.restoreOverrideCursor()
