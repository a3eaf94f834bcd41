"""The user's hands: clicks, typing and choosing through real mouse and key events on shown widgets.

What a user could not do fails: clicking what is hidden, disabled, outside the window or covered by something else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from tests.slicer_extension.harness import watchdog
from tests.slicer_extension.harness.raw import raw
from tests.slicer_extension.harness.standin import state

_LEFT = QtCore.Qt.MouseButton.LeftButton


class CannotReach(AssertionError):
    """The user could not have done that."""


def spin(seconds: float = 0.0) -> None:
    """Let the event loop run for a while; 0 handles what is waiting."""
    end = time.monotonic() + seconds
    while True:
        with watchdog.turn_of_the_loop():
            QtWidgets.QApplication.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 5)
        if time.monotonic() >= end:
            return
        time.sleep(0.002)


def wait_until(condition: Callable[[], Any], timeout: float = 10.0, what: str = "") -> Any:
    """Let the event loop run until a condition holds.

    Args:
        condition: Called in between; must not block.
        timeout: Seconds.
        what: For the message when it does not happen.

    Returns:
        What the condition returned at last.

    Raises:
        AssertionError: If it did not hold in time.
    """
    end = time.monotonic() + timeout
    while True:
        spin()
        held = condition()
        if held:
            return held
        if time.monotonic() >= end:
            raise AssertionError(f"{what or 'the condition'} did not happen within {timeout} s")
        time.sleep(0.005)


def click(widget: Any) -> None:
    """Click a widget with the mouse, after scrolling to it as a user would."""
    point = reach(widget)
    target = _target_at(widget, point)
    with watchdog.section(f"click on {describe(widget)}"):
        QtTest.QTest.mouseClick(target, _LEFT, QtCore.Qt.KeyboardModifier.NoModifier, _inside(widget, target, point))
    spin()


def choose(combo: Any, text: str) -> None:
    """Choose an item of a combo box (or node combo box) by its text."""
    box = state(combo).get("box", combo)
    reach(box)
    index = box.findText(text)
    if index < 0:
        texts = [box.itemText(position) for position in range(box.count)]
        raise CannotReach(f"{describe(combo)} offers no {text!r}, only {texts}")
    with watchdog.section(f"choose {text} in {describe(combo)}"):
        box.showPopup()
        view = box.view()
        view.setCurrentIndex(box.model().index(index, box.modelColumn, box.rootModelIndex()))
        QtTest.QTest.keyClick(view, QtCore.Qt.Key.Key_Return)
    spin()
    box.hidePopup()


def type_into(edit: Any, text: str, clear: bool = True, enter: bool = False) -> None:
    """Type into a line edit, text edit or spin box.

    Args:
        edit: The widget.
        text: What to type.
        clear: Select and overwrite what is there.
        enter: Press Return afterwards.
    """
    click(edit)
    target = edit.lineEdit() if hasattr(edit, "lineEdit") else edit
    if raw(target, "isReadOnly")() if hasattr(target, "isReadOnly") else False:
        raise CannotReach(f"{describe(edit)} is read-only")
    with watchdog.section(f"type into {describe(edit)}"):
        if clear:
            target.selectAll()
            QtTest.QTest.keyClick(target, QtCore.Qt.Key.Key_Delete)
        QtTest.QTest.keyClicks(target, text)
        if enter:
            QtTest.QTest.keyClick(target, QtCore.Qt.Key.Key_Return)
    spin()


def press(keys: str, widget: Any = None) -> None:
    """Press a key or a combination such as ``Ctrl+Z``, in a widget or where the keyboard is; shortcuts react."""
    sequence = QtGui.QKeySequence(keys)
    if sequence.count() != 1:
        raise ValueError(f"{keys!r} is not one key combination")
    target = widget or QtWidgets.QApplication.focusWidget() or QtWidgets.QApplication.activeWindow()
    if target is None:
        raise CannotReach(f"no window has the keyboard, so nothing gets {keys}")
    _require_shown(target)
    window = raw(target, "window")()
    raw(window, "activateWindow")()
    combination = sequence[0]
    with watchdog.section(f"press {keys}"):
        # through the window, since shortcuts listen there
        QtTest.QTest.keyClick(raw(window, "windowHandle")(), combination.key(), combination.keyboardModifiers())
    spin()


def reach(widget: Any) -> QtCore.QPoint:
    """Scroll to a widget and return the point (in it) to click; :class:`CannotReach` if a user cannot."""
    _require_shown(widget)
    if not raw(widget, "isEnabled")():
        raise CannotReach(f"{describe(widget)} is disabled")
    _scroll_to(widget)
    point = _click_point(widget)
    hit = _target_at(widget, point)
    if hit is not widget and not raw(widget, "isAncestorOf")(hit):
        raise CannotReach(f"{describe(widget)} is covered by {describe(hit)}")
    return point


def _require_shown(widget: Any) -> None:
    """Refuse a widget that is not on the screen."""
    if not raw(widget, "isVisible")():
        hidden = widget
        while raw(hidden, "parentWidget")() is not None and not raw(hidden, "isHidden")():
            hidden = raw(hidden, "parentWidget")()
        because = "" if hidden is widget else f", because {describe(hidden)} is"
        raise CannotReach(f"{describe(widget)} is hidden{because}")


def _scroll_to(widget: Any) -> None:
    """Scroll every scroll area around a widget to it."""
    parent = raw(widget, "parentWidget")()
    while parent is not None:
        if isinstance(parent, QtWidgets.QScrollArea):
            parent.ensureWidgetVisible(widget, 5, 5)
        parent = raw(parent, "parentWidget")()
    raw(QtWidgets.QApplication.instance(), "processEvents")()


def _click_point(widget: Any) -> QtCore.QPoint:
    """Return the middle of what is visible; of check boxes and radio buttons, the mark."""
    region = raw(widget, "visibleRegion")()
    if region.isEmpty():
        raise CannotReach(f"{describe(widget)} is outside of what the window shows")
    rectangle = region.boundingRect()
    if isinstance(widget, (QtWidgets.QCheckBox, QtWidgets.QRadioButton)):
        return QtCore.QPoint(rectangle.left() + 8, rectangle.center().y())
    if "collapsed" in state(widget):
        return QtCore.QPoint(rectangle.center().x(), rectangle.top() + 10)
    return QtCore.QPoint(rectangle.center())


def _target_at(widget: Any, point: QtCore.QPoint) -> Any:
    """Return the innermost widget at a point of a widget: what the mouse would hit."""
    window = raw(widget, "window")()
    hit = raw(window, "childAt")(raw(widget, "mapTo")(window, point))
    return window if hit is None else hit


def _inside(widget: Any, target: Any, point: QtCore.QPoint) -> QtCore.QPoint:
    """Return a widget's point in another widget's coordinates."""
    return QtCore.QPoint(raw(target, "mapFromGlobal")(raw(widget, "mapToGlobal")(point)))


def describe(widget: Any) -> str:
    """Return a widget's class, name and text for a message."""
    name = raw(widget, "objectName")()
    text = getattr(widget, "text", None)
    said = f" ({text!r})" if isinstance(text, str) and text else ""
    return f"{type(widget).__name__}{f' {name}' if name else ''}{said}"
