"""Folder and file dialogs that a test answers beforehand with :func:`choose_path`; any other dialog fails the test.

A dialog stays open for a moment, in which the event loop runs as in Slicer: other timers go on, but Qt does not call a
timer's slot again while that slot waits for its own dialog.
"""

from collections import deque
from typing import Any

from PySide6 import QtWidgets

from tests.slicer_extension.harness import event_loop, failures
from tests.slicer_extension.harness.qt_classes import raw

#: Seconds for which a dialog is open: several intervals of the panel's timer.
OPEN = 0.06

_paths: deque[str] = deque()


def choose_path(path: str) -> None:
    _paths.append(path)


def fail_if_unused() -> None:
    """Raise an AssertionError when a path is left over, since then a dialog was not shown."""
    left = [*_paths]
    _paths.clear()
    if left:
        raise AssertionError(f"paths that no dialog asked for: {left}")


class MessageBox(QtWidgets.QMessageBox):
    """``qt.QMessageBox``, which no test answers."""

    question = warning = critical = information = None  # Qt's would open a window that nothing closes

    def exec_(self) -> Any:
        _fail(f"question {raw(self, 'text')()!r}")
        return QtWidgets.QMessageBox.StandardButton.Cancel


class FileDialog(QtWidgets.QFileDialog):
    """``qt.QFileDialog`` whose question :func:`choose_path` answers."""

    getOpenFileNames = None

    @staticmethod
    def getExistingDirectory(parent: Any = None, title: str = "", folder: str = "", options: Any = None) -> str:
        return _answer(title)

    @staticmethod
    def getSaveFileName(parent: Any = None, title: str = "", folder: str = "", kinds: str = "") -> str:
        return _answer(title)

    @staticmethod
    def getOpenFileName(parent: Any = None, title: str = "", folder: str = "", kinds: str = "") -> str:
        return _answer(title)


def _answer(title: str) -> str:
    if not _paths:
        _fail(f"file dialog {title!r}")
        return ""
    event_loop.run_nested(OPEN)
    return _paths.popleft()


def _fail(what: str) -> None:
    failures.record(f"{what} was shown, and the test has no answer to it (dialogs.choose_path)")
