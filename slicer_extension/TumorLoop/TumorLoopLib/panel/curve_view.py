"""Draws the training curve and the plot of corrections into labels, in the colors of the theme."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt

from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.corrections import Corrections
from TumorLoopLib.jobs.server_status import Training
from TumorLoopLib.panel.correction_plot import FEWEST, CorrectionPlot, correction_plot
from TumorLoopLib.panel.curve import Curve, Point, Tick, curve_of

#: Loss (or minutes) and Dice; readable on light and dark backgrounds, and for color-blind users.
LOSS_COLOR, DICE_COLOR = "#d98a00", "#3b82d6"
#: Pixels from the center of a point to its border; with many points, less.
_RADIUS, _SMALL_RADIUS, _MANY = 2.5, 1.5, 60


class _PlotView:
    """A picture in a ``QLabel`` that is drawn again when its content, its size or the theme has changed."""

    def __init__(self, label: Any) -> None:
        self._label = label
        self._drawn: tuple[Any, ...] = ()

    def _show(self, content: Any, draw: Callable[[Any, int, int], None]) -> None:
        """Draw a content, unless already drawn; hide the label if there is none."""
        self._label.setVisible(bool(content))
        if not content:
            self._drawn = ()
            return
        width, height = max(120, self._label.width), max(80, self._label.height)
        wanted = (content, width, height, self._color("WindowText").name(), self._color("Window").name())
        if wanted == self._drawn:
            return
        self._drawn = wanted
        pixmap = qt.QPixmap(width, height)
        pixmap.fill(self._color("Window"))
        painter = qt.QPainter(pixmap)
        painter.setRenderHint(qt.QPainter.Antialiasing, True)
        draw(painter, width, height)
        painter.end()
        self._label.setPixmap(pixmap)

    def _draw_axes(
        self, painter: Any, plot: Curve | CorrectionPlot, left: Sequence[Tick], right: Sequence[Tick], below: Any
    ) -> None:
        """Draw a grid line at each tick on the left, and the texts of all ticks."""
        text, faint = self._color("WindowText"), self._color("Mid")
        for tick in left:
            painter.setPen(qt.QPen(faint, 1))
            painter.drawLine(qt.QPointF(plot.left, tick.at), qt.QPointF(plot.right, tick.at))
            self._write(painter, qt.QRectF(0, tick.at - 8, plot.left - 4, 16), qt.Qt.AlignRight, tick.text, text)
        for tick in right:
            box = qt.QRectF(plot.right + 4, tick.at - 8, 34, 16)
            self._write(painter, box, qt.Qt.AlignLeft, tick.text, text)
        for tick in below:
            box = qt.QRectF(tick.at - 20, plot.bottom + 2, 40, 16)
            self._write(painter, box, qt.Qt.AlignHCenter, tick.text, text)

    def _draw_titles(
        self, painter: Any, plot: Curve | CorrectionPlot, left: Sequence[str], right: Sequence[str]
    ) -> None:
        """Write what is on the left and on the right axis, each a text and its color."""
        middle = plot.left + (plot.right - plot.left) / 3
        boxes = qt.QRectF(plot.left, 0, middle - plot.left, 16), qt.QRectF(middle, 0, plot.right - middle, 16)
        for box, (text, color), side in zip(boxes, (left, right), (qt.Qt.AlignLeft, qt.Qt.AlignRight)):
            self._write(painter, box, side, text, qt.QColor(color))

    def _write(self, painter: Any, box: Any, align: Any, text: str, color: Any) -> None:
        painter.setPen(color)
        painter.drawText(box, int(align) | int(qt.Qt.AlignVCenter), text)

    def _color(self, role: str) -> Any:
        return self._label.palette.color(getattr(qt.QPalette, role))


class QtCurveView(_PlotView):
    """The curve of a training run."""

    def show(self, training: Training) -> None:
        """Draw the finished epochs of a training run; hide the label if there are none."""

        def draw(painter: Any, width: int, height: int) -> None:
            curve = curve_of(training.epochs, training.total_epochs, width, height)
            self._draw_axes(painter, curve, curve.loss_ticks, curve.dice_ticks, curve.epoch_ticks)
            self._draw_titles(painter, curve, (_("― loss"), LOSS_COLOR), (_("― Dice"), DICE_COLOR))
            self._draw_line(painter, curve.loss, LOSS_COLOR)
            self._draw_line(painter, curve.dice, DICE_COLOR)

        self._show((training.epochs, training.total_epochs) if training.epochs else (), draw)

    def _draw_line(self, painter: Any, points: tuple[Point, ...], color: str) -> None:
        painter.setPen(qt.QPen(qt.QColor(color), 2))
        for (x0, y0), (x1, y1) in zip(points, points[1:]):
            painter.drawLine(qt.QPointF(x0, y0), qt.QPointF(x1, y1))
        painter.setBrush(qt.QBrush(qt.QColor(color)))
        for x, y in points:
            painter.drawEllipse(qt.QPointF(x, y), _RADIUS, _RADIUS)


class QtCorrectionView(_PlotView):
    """The plot of the corrections."""

    def show(self, corrections: Corrections) -> None:
        """Draw the corrected cases; hide the label if there are fewer than two."""

        def draw(painter: Any, width: int, height: int) -> None:
            plot = correction_plot(corrections, width, height)
            self._draw_axes(painter, plot, plot.dice_ticks, plot.minute_ticks, plot.case_ticks)
            minutes = _("□ min of editing") if corrections.editing else _("□ min until submission")
            right = (minutes if plot.minutes else "", LOSS_COLOR)
            self._draw_titles(painter, plot, (_("● Dice"), DICE_COLOR), right)
            self._draw_versions(painter, plot)
            self._draw_points(painter, plot)

        self._show(corrections if len(corrections.cases) >= FEWEST else (), draw)

    def _draw_versions(self, painter: Any, plot: CorrectionPlot) -> None:
        """Draw a line where a model version begins, and its name above the plot."""
        text = self._color("WindowText")
        for mark in plot.versions:
            painter.setPen(qt.QPen(text, 1, qt.Qt.DashLine))
            painter.drawLine(qt.QPointF(mark.at, plot.top - 4), qt.QPointF(mark.at, plot.bottom))
            box = qt.QRectF(mark.at + 2, plot.top - 18, 60, 14)
            self._write(painter, box, qt.Qt.AlignLeft, mark.text, text)

    def _draw_points(self, painter: Any, plot: CorrectionPlot) -> None:
        radius = _RADIUS if len(plot.dice) <= _MANY else _SMALL_RADIUS
        painter.setPen(qt.QPen(qt.QColor(LOSS_COLOR), 1.5))
        painter.setBrush(qt.QBrush(qt.Qt.NoBrush))
        for x, y in plot.minutes:
            painter.drawRect(qt.QRectF(x - radius, y - radius, 2 * radius, 2 * radius))
        painter.setPen(qt.QPen(qt.QColor(DICE_COLOR), 1))
        painter.setBrush(qt.QBrush(qt.QColor(DICE_COLOR)))
        for x, y in plot.dice:
            painter.drawEllipse(qt.QPointF(x, y), radius, radius)
