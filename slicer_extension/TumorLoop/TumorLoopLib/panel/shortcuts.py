"""Keys that work while the panel is shown.

The Segment Editor's own keys are not installed: its numbers choose effects, ours flip through the modalities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qt
import slicer


class Shortcuts:
    """Keys of the main window, off until :meth:`enable`.

    Args:
        actions: What each key does, by its name (``"1"``, ``"Ctrl+Z"``).
    """

    def __init__(self, actions: Mapping[str, Callable[[], None]]) -> None:
        self._actions = dict(actions)
        self._shortcuts: list[Any] = []

    def enable(self, on: bool) -> None:
        """Switch the keys on or off."""
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
        """Take the keys away for good."""
        for shortcut in self._shortcuts:
            shortcut.enabled = False
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []
