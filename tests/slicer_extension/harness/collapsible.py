"""Stand-in of ``ctkCollapsibleButton``: a titled section of a panel that folds."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from tests.slicer_extension.harness.raw import raw
from tests.slicer_extension.harness.standin import StandIn, child_widgets, register, state

_HEADER = 22
_SIZE_HINT, _MINIMUM_SIZE_HINT = QtWidgets.QWidget.sizeHint, QtWidgets.QWidget.minimumSizeHint


@register
class ctkCollapsibleButton(StandIn, QtWidgets.QWidget):
    """A header that folds and unfolds what is laid out in it.

    Folding hides the children, unfolding shows those again that nobody hid on purpose, as CTK's does. It is a widget
    here rather than a button, so that Qt lays out what is inside.
    """

    NATIVE = True
    SIGNALS = ("contentsCollapsed(bool)", "toggled(bool)", "clicked(bool)", "clicked()")

    def __init__(self, *args: Any) -> None:
        super().__init__(next((one for one in args if isinstance(one, QtWidgets.QWidget)), None))
        state(self).update(text=next((one for one in args if isinstance(one, str)), ""), collapsed=False, forcing=False)
        state(self).update(hidden=set())
        self.setContentsMargins(4, _HEADER + 2, 4, 2)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Preferred)

    def _text(self) -> str:
        return str(state(self)["text"])

    def _set_text(self, text: str) -> None:
        state(self)["text"] = text
        raw(self, "update")()

    def _collapsed(self) -> bool:
        return bool(state(self)["collapsed"])

    def _set_collapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed():
            return
        if collapsed:
            state(self)["hidden"] = {child for child in child_widgets(self) if raw(child, "isHidden")()}
        state(self)["collapsed"] = collapsed
        for child in child_widgets(self):
            self._apply(child)
        raw(self, "updateGeometry")()
        raw(self, "update")()
        self._emit("toggled(bool)", not collapsed)
        self._emit("contentsCollapsed(bool)", collapsed)

    text = QtCore.Property(str, _text, _set_text)
    collapsed = QtCore.Property(bool, _collapsed, _set_collapsed)

    def _apply(self, child: Any) -> None:
        """Hide or show a child as the section's state says."""
        state(self)["forcing"] = True
        raw(child, "setVisible")(not self._collapsed() and child not in state(self)["hidden"])
        state(self)["forcing"] = False

    def childEvent(self, event: Any) -> None:
        """Watch the visibility of what is added."""
        child = event.child()
        if event.added() and isinstance(child, QtWidgets.QWidget):
            raw(child, "installEventFilter")(self)

    def eventFilter(self, child: Any, event: Any) -> bool:
        """Remember which children are hidden on purpose, and keep a folded section's children hidden."""
        kind = event.type()
        shown, hidden = QtCore.QEvent.Type.ShowToParent, QtCore.QEvent.Type.HideToParent
        if state(self)["forcing"] or not self._collapsed() or kind not in (shown, hidden):
            return False
        if kind == shown:
            state(self)["hidden"].discard(child)
            self._apply(child)
        else:
            state(self)["hidden"].add(child)
        return False

    def mouseReleaseEvent(self, event: Any) -> None:
        """Fold or unfold on a click on the header."""
        if event.position().y() < _HEADER:
            self.collapsed = not self.collapsed
            self._emit("clicked(bool)", not self.collapsed)
            self._emit("clicked()")

    def click(self) -> None:
        """Fold or unfold."""
        self.collapsed = not self.collapsed

    def minimumSizeHint(self) -> Any:
        """Return a size that leaves room for the header."""
        return self._with_header(_MINIMUM_SIZE_HINT(self))

    def sizeHint(self) -> Any:
        """Return the size of the header, with the contents unless folded."""
        return self._with_header(_SIZE_HINT(self))

    def _with_header(self, inner: Any) -> Any:
        height = _HEADER + 2 if self._collapsed() else max(inner.height(), _HEADER + 2)
        return QtCore.QSize(max(inner.width(), 60), height)

    def paintEvent(self, event: Any) -> None:
        """Draw the header."""
        painter = QtGui.QPainter(self)
        palette = raw(self, "palette")()
        band = QtCore.QRect(0, 0, raw(self, "width")(), _HEADER)
        painter.fillRect(band, palette.color(QtGui.QPalette.ColorRole.Button))
        painter.setPen(palette.color(QtGui.QPalette.ColorRole.Mid))
        painter.drawRect(band.adjusted(0, 0, -1, -1))
        painter.setPen(palette.color(QtGui.QPalette.ColorRole.ButtonText))
        sign = "▸" if self._collapsed() else "▾"
        flags = QtCore.Qt.AlignmentFlag.AlignVCenter | QtCore.Qt.AlignmentFlag.AlignLeft
        painter.drawText(band.adjusted(8, 0, -8, 0), flags, f"{sign}  {self._text()}")
        painter.end()
