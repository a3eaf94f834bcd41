"""Message boxes and folder dialogs that a test answers.

A test says beforehand what the user will do::

    dialogs.answer("Yes")                      # the next question
    dialogs.choose_path("/data/case")          # the next folder dialog

A dialog stays open for a moment, in which the event loop runs as in Slicer: other timers go on, but Qt does not call a
timer's slot again while that slot waits for its own dialog. A question without an answer fails the test.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from PySide6 import QtWidgets

from tests.slicer_extension.harness import event_loop, failures
from tests.slicer_extension.harness.qt_classes import raw

#: Seconds for which a dialog is open: several intervals of the panel's timer.
OPEN = 0.06


class Shown(NamedTuple):
    """A dialog that was shown, with its buttons, and the button that the test pressed or the path that it chose."""

    title: str
    text: str
    buttons: tuple[str, ...] = ()
    answer: str = ""


#: What was shown since :func:`reset`, oldest first.
shown: list[Shown] = []
_answers: deque[str] = deque()
_paths: deque[str] = deque()


def reset() -> None:
    for kept in (shown, _answers, _paths):
        kept.clear()


def answer(button: str) -> None:
    """Press a button (``Yes``, ``No``, ``Ok``, ``Cancel``) in the next question."""
    _answers.append(button)


def choose_path(path: str) -> None:
    """Choose a folder in the next such dialog; an empty text cancels it."""
    _paths.append(path)


def fail_if_unused() -> None:
    """Raise an AssertionError when an answer is left over, since then a question was not asked."""
    if _answers or _paths:
        raise AssertionError(f"answers that no dialog asked for: {[*_answers, *_paths]}")


class MessageBox(QtWidgets.QMessageBox):
    """``qt.QMessageBox`` that the test answers."""

    question = warning = critical = information = None  # Qt's would open a window that nothing closes

    def exec_(self) -> Any:
        buttons = tuple(raw(self, "standardButton")(button).name for button in raw(self, "buttons")())
        title, text = raw(self, "windowTitle")().strip(), raw(self, "text")()
        if len(buttons) < 2:
            pressed = (buttons or ("Ok",))[0]
        elif _answers:
            pressed = _answers.popleft()
        else:
            pressed = next((name for name in ("Cancel", "No", "Close", "Ignore") if name in buttons), buttons[-1])
            _unanswered(f"question {text!r}")
        if buttons and pressed not in buttons:
            raise AssertionError(f"the dialog has no button {pressed!r}, only {', '.join(buttons)}")
        return getattr(QtWidgets.QMessageBox.StandardButton, _show(Shown(title, text, buttons, pressed)))


class FileDialog(QtWidgets.QFileDialog):
    """``qt.QFileDialog`` whose question :func:`choose_path` answers."""

    getOpenFileName = getOpenFileNames = getSaveFileName = None

    @staticmethod
    def getExistingDirectory(parent: Any = None, title: str = "", folder: str = "", options: Any = None) -> str:
        if not _paths:
            _unanswered(f"file dialog {title!r}")
        return _show(Shown(title, "", answer=_paths.popleft() if _paths else ""))


def _show(dialog: Shown) -> str:
    """Record a dialog, let the event loop run while it is open, and return the answer."""
    shown.append(dialog)
    event_loop.run_nested(OPEN)
    return dialog.answer


def _unanswered(what: str) -> None:
    failures.record(f"{what} was asked, and the test has no answer to it (dialogs.answer, dialogs.choose_path)")
