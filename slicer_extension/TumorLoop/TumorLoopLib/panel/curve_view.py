"""Draws the training curve into a label, in the colors of the theme."""

from __future__ import annotations

from typing import Any

import qt

from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.server_status import Training
from TumorLoopLib.panel.curve import Curve, Point, curve_of

#: Loss and Dice; readable on light and dark backgrounds, and for color-blind users.
LOSS_COLOR, DICE_COLOR = "#d98a00", "#3b82d6"


class QtCurveView:
    """The curve in a ``QLabel``."""

    def __init__(self, label: Any) -> None:
        self._label = label
        self._drawn: tuple[Any, ...] = ()

    def show(self, training: Training) -> None:
        """Draw the finished epochs of a training run, unless already drawn; hide the label if there are none."""
        self._label.setVisible(bool(training.epochs))
        if not training.epochs:
            self._drawn = ()
            return
        width, height = max(120, self._label.width), max(80, self._label.height)
        colors = (self._color("WindowText").name(), self._color("Window").name())
        wanted = (training.epochs, training.total_epochs, width, height, colors)
        if wanted == self._drawn:
            return
        self._drawn = wanted
        curve = curve_of(training.epochs, training.total_epochs, width, height)
        pixmap = qt.QPixmap(width, height)
        pixmap.fill(self._color("Window"))
        painter = qt.QPainter(pixmap)
        painter.setRenderHint(qt.QPainter.Antialiasing, True)
        self._draw_axes(painter, curve)
        self._draw_line(painter, curve.loss, LOSS_COLOR)
        self._draw_line(painter, curve.dice, DICE_COLOR)
        painter.end()
        self._label.setPixmap(pixmap)

    def _draw_axes(self, painter: Any, curve: Curve) -> None:
        text, faint = self._color("WindowText"), self._color("Mid")
        for tick in curve.loss_ticks:
            painter.setPen(qt.QPen(faint, 1))
            painter.drawLine(qt.QPointF(curve.left, tick.at), qt.QPointF(curve.right, tick.at))
            self._write(painter, qt.QRectF(0, tick.at - 8, curve.left - 4, 16), qt.Qt.AlignRight, tick.text, text)
        for tick in curve.dice_ticks:
            box = qt.QRectF(curve.right + 4, tick.at - 8, 28, 16)
            self._write(painter, box, qt.Qt.AlignLeft, tick.text, text)
        for tick in curve.epoch_ticks:
            box = qt.QRectF(tick.at - 20, curve.bottom + 2, 40, 16)
            self._write(painter, box, qt.Qt.AlignHCenter, tick.text, text)
        middle = (curve.left + curve.right) / 2
        left = qt.QRectF(curve.left, 0, middle - curve.left, 16)
        right = qt.QRectF(middle, 0, curve.right - middle, 16)
        self._write(painter, left, qt.Qt.AlignLeft, _("― loss"), qt.QColor(LOSS_COLOR))
        self._write(painter, right, qt.Qt.AlignRight, _("― Dice"), qt.QColor(DICE_COLOR))

    def _draw_line(self, painter: Any, points: tuple[Point, ...], color: str) -> None:
        painter.setPen(qt.QPen(qt.QColor(color), 2))
        for (x0, y0), (x1, y1) in zip(points, points[1:]):
            painter.drawLine(qt.QPointF(x0, y0), qt.QPointF(x1, y1))
        painter.setBrush(qt.QBrush(qt.QColor(color)))
        for x, y in points:
            painter.drawEllipse(qt.QPointF(x, y), 2.5, 2.5)

    def _write(self, painter: Any, box: Any, align: Any, text: str, color: Any) -> None:
        painter.setPen(color)
        painter.drawText(box, int(align) | int(qt.Qt.AlignVCenter), text)

    def _color(self, role: str) -> Any:
        return self._label.palette.color(getattr(qt.QPalette, role))
