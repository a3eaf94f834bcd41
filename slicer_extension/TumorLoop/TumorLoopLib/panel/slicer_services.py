"""The panel's services in the real Slicer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import qt
import slicer

from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.address import Timeouts
from TumorLoopLib.panel.curve_view import QtCorrectionView, QtCurveView
from TumorLoopLib.panel.picture_view import QtPictureView
from TumorLoopLib.panel.services import Actions
from TumorLoopLib.panel.tables import QtTable


class QtShortcuts:
    """Shortcuts of the main window.

    The Segment Editor's own shortcuts are not installed: its number keys choose effects, ours choose the modality.
    """

    def __init__(self, actions: Actions) -> None:
        self._actions = dict(actions)
        self._shortcuts: list[Any] = []

    def enable(self, on: bool) -> None:
        """Switch the shortcuts on or off."""
        if on and not self._shortcuts:
            window = slicer.util.mainWindow()
            if window is None:  # Slicer without a window, as in a test run
                return
            for key, action in self._actions.items():
                shortcut = qt.QShortcut(window)
                shortcut.setKey(qt.QKeySequence(key))
                shortcut.connect("activated()", action)
                self._shortcuts.append(shortcut)
        for shortcut in self._shortcuts:
            shortcut.enabled = on

    def remove(self) -> None:
        """Remove the shortcuts for good."""
        for shortcut in self._shortcuts:
            shortcut.enabled = False
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []


def _watch_effects(registered: Callable[[], None]) -> Callable[[], None]:
    """Connect to the one factory of all Segment Editors."""
    import qSlicerSegmentationsEditorEffectsPythonQt as effects

    factory = effects.qSlicerSegmentEditorEffectFactory().instance()  # PythonQt has no call of it without an object
    factory.connect("effectRegistered(QString)", registered)

    def end() -> None:
        factory.disconnect("effectRegistered(QString)", registered)

    return end


class SlicerServices:
    """Implements :class:`TumorLoopLib.panel.services.PanelServices`."""

    monotonic = staticmethod(time.monotonic)
    curve_view = QtCurveView
    correction_view = QtCorrectionView
    picture_view = QtPictureView
    shortcuts = QtShortcuts
    table = QtTable
    watch_effects = staticmethod(_watch_effects)

    def __init__(self) -> None:
        self.settings = slicer.app.userSettings()
        self.temporary_folder = Path(slicer.app.temporaryPath)
        self.startup_environment: Mapping[str, str] = dict(slicer.util.startupEnvironment())
        self.scene = slicer.mrmlScene

    def timer(self, callback: Callable[[], None]) -> Any:
        """Return a ``QTimer``."""
        timer = qt.QTimer()
        timer.connect("timeout()", callback)
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Use a single-shot timer."""
        qt.QTimer.singleShot(0, callback)

    def confirm(self, text: str, title: str) -> bool:
        """Show a box with OK and Cancel."""
        return bool(slicer.util.confirmOkCancelDisplay(text, windowTitle=title))

    def choose_folder(self, title: str, start: str) -> str:
        """Show the system's folder dialog."""
        return str(qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, start) or "")

    def choose_file(self, title: str, start: str, kinds: str) -> str:
        """Show the system's file dialog."""
        return str(qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, start, kinds) or "")

    def choose_new_file(self, title: str, start: str, kinds: str) -> str:
        """Show the system's file dialog, which asks before it replaces a file."""
        return str(qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, start, kinds) or "")

    def client(self, address: str, token: str, user: str, timeouts: Timeouts | None, ca_file: str) -> TumorLoopClient:
        """Return a client over HTTP."""
        return TumorLoopClient(address, token or None, user=user, timeouts=timeouts, ca_file=ca_file)

    def load_volume(self, path: Path, *, show: bool) -> Any:
        """Use Slicer's readers."""
        return slicer.util.loadVolume(str(path), {"show": show})

    def modify(self, node: Any) -> AbstractContextManager[Any]:
        """See ``slicer.util.NodeModify``."""
        modify: AbstractContextManager[Any] = slicer.util.NodeModify(node)
        return modify
