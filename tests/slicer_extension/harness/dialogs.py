"""Message boxes, file dialogs and input dialogs that a test answers.

A test says beforehand what the user will do::

    dialogs.answer("Yes")                      # the next question
    dialogs.choose_path("/data/case")          # the next file or folder dialog

Questions without an answer fail the test; messages with only an OK button are just recorded in :data:`shown`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from PySide6 import QtWidgets

from tests.slicer_extension.harness import faults
from tests.slicer_extension.harness.raw import raw

_Box = QtWidgets.QMessageBox


@dataclass(frozen=True)
class Shown:
    """A dialog that was shown.

    Attributes:
        title: The window's title.
        text: The text, with the informative text below it.
        details: What "Show details" shows.
        icon: ``Critical``, ``Warning``, ``Information``, ``Question`` or ``NoIcon``.
        buttons: The buttons, for example ``("Yes", "No")``.
        answer: The button that the test pressed.
    """

    title: str
    text: str
    details: str = ""
    icon: str = "NoIcon"
    buttons: tuple[str, ...] = field(default=())
    answer: str = ""


#: What was shown since :func:`reset`, oldest first.
shown: list[Shown] = []
_answers: deque[str] = deque()
_paths: deque[str] = deque()
_texts: deque[str] = deque()


def reset() -> None:
    """Forget what was shown and what was to be answered."""
    shown.clear()
    for waiting in (_answers, _paths, _texts):
        waiting.clear()


def answer(button: str) -> None:
    """Press a button (``Yes``, ``No``, ``Ok``, ``Cancel``, or a button's text) in the next question."""
    _answers.append(button)


def choose_path(path: str) -> None:
    """Choose a file or folder in the next such dialog; an empty text cancels it."""
    _paths.append(path)


def type_text(text: str) -> None:
    """Type a text into the next input dialog and press OK."""
    _texts.append(text)


def fail_if_unanswered() -> None:
    """Raise an AssertionError when an answer is left over, since then a question was not asked."""
    left = [*_answers, *_paths, *_texts]
    if left:
        raise AssertionError(f"answers that no dialog asked for: {left}")


class MessageBox(QtWidgets.QMessageBox):
    """``qt.QMessageBox`` (and ``ctk.ctkMessageBox``) that the test answers."""

    NATIVE = True

    def exec_(self) -> Any:
        """Show the box; returns the pressed button."""
        pressed = _press(self)
        custom = next((one for one in raw(self, "buttons")() if raw(one, "text")() == pressed), None)
        raw(self, "__dict__")["_pressed"] = custom
        if custom is not None and raw(self, "standardButton")(custom) == _Box.StandardButton.NoButton:
            return 0
        return _standard(pressed)

    def clickedButton(self) -> Any:
        """Return the pressed button."""
        return raw(self, "__dict__").get("_pressed")

    @staticmethod
    def question(parent: Any, title: str, text: str, buttons: Any = None, default: Any = None) -> Any:
        """Ask; returns the pressed button."""
        return _ask(parent, title, text, _Box.Icon.Question, buttons or (_Box.Yes | _Box.No))

    @staticmethod
    def warning(parent: Any, title: str, text: str, buttons: Any = None, default: Any = None) -> Any:
        """Warn; returns the pressed button."""
        return _ask(parent, title, text, _Box.Icon.Warning, buttons or _Box.Ok)

    @staticmethod
    def critical(parent: Any, title: str, text: str, buttons: Any = None, default: Any = None) -> Any:
        """Report an error; returns the pressed button."""
        return _ask(parent, title, text, _Box.Icon.Critical, buttons or _Box.Ok)

    @staticmethod
    def information(parent: Any, title: str, text: str, buttons: Any = None, default: Any = None) -> Any:
        """Inform; returns the pressed button."""
        return _ask(parent, title, text, _Box.Icon.Information, buttons or _Box.Ok)


class FileDialog(QtWidgets.QFileDialog):
    """``qt.QFileDialog`` whose questions :func:`choose_path` answers."""

    NATIVE = True

    @staticmethod
    def getExistingDirectory(parent: Any = None, title: str = "", folder: str = "", options: Any = None) -> str:
        """Return the chosen folder, empty when canceled."""
        return _path(title)

    @staticmethod
    def getOpenFileName(parent: Any = None, title: str = "", folder: str = "", filters: str = "") -> str:
        """Return the chosen file, empty when canceled; one text, as in PythonQt."""
        return _path(title)

    @staticmethod
    def getSaveFileName(parent: Any = None, title: str = "", folder: str = "", filters: str = "") -> str:
        """Return the chosen file, empty when canceled; one text, as in PythonQt."""
        return _path(title)


class InputDialog(QtWidgets.QInputDialog):
    """``qt.QInputDialog`` whose questions :func:`type_text` answers."""

    NATIVE = True

    @staticmethod
    def getText(parent: Any, title: str, label: str, echo: Any = None, text: str = "") -> str:
        """Return the typed text, empty when canceled; one text, as in PythonQt."""
        if not _texts:
            return str(_unanswered(f"input dialog {title!r}: {label}", ""))
        shown.append(Shown(title, label, answer=_texts[0]))
        return _texts.popleft()


def _ask(parent: Any, title: str, text: str, icon: Any, buttons: Any) -> Any:
    """Show a box made by one of the static functions."""
    box = MessageBox(icon, title, text, buttons, parent)
    return box.exec_()


def _press(box: Any) -> str:
    """Record a box and return the text of the button to press."""
    buttons = tuple(_button_names(box))
    question = len(buttons) > 1
    if question and not _answers:
        pressed = str(_unanswered(f"question {raw(box, 'text')()!r}", _safest(buttons)))
    else:
        pressed = _answers.popleft() if question else (buttons or ("OK",))[0]
    if question and pressed not in buttons:
        raise AssertionError(f"the dialog has no button {pressed!r}, only {', '.join(buttons)}")
    text = "\n\n".join(part for part in (raw(box, "text")(), raw(box, "informativeText")()) if part)
    icon = str(raw(box, "icon")().name)
    shown.append(Shown(raw(box, "windowTitle")().strip(), text, raw(box, "detailedText")(), icon, buttons, pressed))
    return pressed


def _button_names(box: Any) -> list[str]:
    """Return the names of a box's buttons: of standard ones Qt's name, of others the text."""
    names = []
    for button in raw(box, "buttons")():
        if raw(box, "detailedText")() and raw(box, "buttonRole")(button) == _Box.ButtonRole.ActionRole:
            continue  # "Show Details..."
        standard = raw(box, "standardButton")(button)
        names.append(raw(button, "text")() if standard == _Box.StandardButton.NoButton else standard.name)
    return names


def _standard(name: str) -> Any:
    """Return a standard button by its name."""
    return getattr(_Box.StandardButton, name, _Box.StandardButton.Ok)


def _safest(buttons: tuple[str, ...]) -> str:
    """Return the button that changes least."""
    return next((name for name in ("Cancel", "No", "Close", "Ignore") if name in buttons), buttons[-1])


def _path(title: str) -> str:
    """Return the next chosen path."""
    if not _paths:
        return str(_unanswered(f"file dialog {title!r}", ""))
    shown.append(Shown(title, "", answer=_paths[0]))
    return _paths.popleft()


def _unanswered(what: str, answer_instead: str) -> str:
    """Note that the test did not say what to do, and go on with the safest answer."""
    faults.record(f"{what} was asked, and the test says no answer (dialogs.answer, choose_path, type_text)")
    return answer_instead
