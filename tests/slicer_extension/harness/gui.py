"""What a user does, through real mouse and key events on shown widgets; what a user could not do fails."""

import time
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from tests.slicer_extension.harness import event_loop
from tests.slicer_extension.harness.qt_classes import raw


class CannotReach(AssertionError):
    """The user could not have done that."""


process_events = event_loop.run


def wait_until(condition: Callable[[], Any], timeout: float = 10.0, what: str = "the condition") -> Any:
    end, seconds = time.monotonic() + timeout, 0.0
    while time.monotonic() < end:
        event_loop.run(seconds)
        held = condition()
        if held:
            return held
        seconds = event_loop.SLICE / 1000
    raise AssertionError(f"{what} did not happen within {timeout} s")


def click(widget: Any) -> None:
    """Click a widget with the mouse, after scrolling to it as a user would."""
    point = _reach(widget)
    target = _target_at(widget, point)
    inside = raw(target, "mapFromGlobal")(raw(widget, "mapToGlobal")(point))
    with event_loop.timed(f"click on {_describe(widget)}"):
        left, none = QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.KeyboardModifier.NoModifier
        QtTest.QTest.mouseClick(target, left, none, QtCore.QPoint(inside))
    event_loop.run()


def type_into(edit: Any, text: str) -> None:
    """Overwrite what is in a line edit, combo box or spin box key by key."""
    click(edit)
    target = edit.lineEdit() if hasattr(edit, "lineEdit") else edit
    if raw(target, "isReadOnly")():
        raise CannotReach(f"{_describe(edit)} is read-only")
    with event_loop.timed(f"type into {_describe(edit)}"):
        target.selectAll()
        QtTest.QTest.keyClick(target, QtCore.Qt.Key.Key_Delete)
        QtTest.QTest.keyClicks(target, text)
    event_loop.run()


def press(keys: str, widget: Any) -> None:
    """Press a key or a combination such as ``Ctrl+Z`` in a widget's window; shortcuts react."""
    _require_shown(widget)
    window, combination = raw(widget, "window")(), QtGui.QKeySequence(keys)[0]
    raw(window, "activateWindow")()
    with event_loop.timed(f"press {keys}"):
        # through the window, since shortcuts listen there
        QtTest.QTest.keyClick(raw(window, "windowHandle")(), combination.key(), combination.keyboardModifiers())
    event_loop.run()


def _reach(widget: Any) -> QtCore.QPoint:
    _require_shown(widget)
    if not raw(widget, "isEnabled")():
        raise CannotReach(f"{_describe(widget)} is disabled")
    for _ in range(2):  # again, since a layout that was still waiting may have moved it
        event_loop.run()
        parent = widget
        while (parent := raw(parent, "parentWidget")()) is not None:
            if isinstance(parent, QtWidgets.QScrollArea):
                parent.ensureWidgetVisible(widget, 5, 5)
    point = _click_point(widget)
    hit = _target_at(widget, point)
    if hit is not widget and not raw(widget, "isAncestorOf")(hit):
        raise CannotReach(f"{_describe(widget)} is covered by {_describe(hit)}")
    return point


def _require_shown(widget: Any) -> None:
    if not raw(widget, "isVisible")():
        raise CannotReach(f"{_describe(widget)} is hidden, or what it is in")


def _click_point(widget: Any) -> QtCore.QPoint:
    region = raw(widget, "visibleRegion")()
    if region.isEmpty():
        raise CannotReach(f"{_describe(widget)} is outside of what the window shows")
    center = region.boundingRect().center()
    if hasattr(type(widget), "collapsed"):
        center.setY(region.boundingRect().top() + 10)
    return center


def _target_at(widget: Any, point: QtCore.QPoint) -> Any:
    window = raw(widget, "window")()
    hit = raw(window, "childAt")(raw(widget, "mapTo")(window, point))
    return window if hit is None else hit


def _describe(widget: Any) -> str:
    name, text = raw(widget, "objectName")(), getattr(widget, "text", None)
    words = (type(widget).__name__, name, f"({text!r})" if isinstance(text, str) and text else "")
    return " ".join(word for word in words if word)
