"""The geometry of the training curve: loss and Dice over the epochs, in pixels. No Qt here.

Pixels count from the top left corner. The loss axis is on the left, the Dice axis (0 to 1) on the right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from TumorLoopLib.jobs.server_status import Epoch

#: Pixels left of, above, right of and below the plot.
MARGINS = (38, 20, 32, 20)
#: Heights of the grid lines, as shares of the plot from below.
_GRID = (0.0, 0.25, 0.5, 0.75, 1.0)

Point = tuple[float, float]


@dataclass(frozen=True)
class Tick:
    """A label on an axis, and its position in pixels (x below the plot, y beside it)."""

    at: float
    text: str


@dataclass(frozen=True)
class Curve:
    """What is drawn.

    Attributes:
        left: First pixel of the plot; ``top``, ``right`` and ``bottom`` likewise.
        loss: One point per finished epoch.
        dice: One point per validated epoch.
    """

    left: float
    top: float
    right: float
    bottom: float
    loss: tuple[Point, ...]
    dice: tuple[Point, ...]
    loss_ticks: tuple[Tick, ...]
    dice_ticks: tuple[Tick, ...]
    epoch_ticks: tuple[Tick, ...]


def curve_of(epochs: Sequence[Epoch], total_epochs: int, width: int, height: int) -> Curve:
    """Lay out the curve.

    Args:
        epochs: The finished ones, in order.
        total_epochs: Epochs to run; the axis covers them from the beginning, so that it does not jump.
        width: Of the picture in pixels.
        height: Of the picture in pixels.
    """
    left, top = float(MARGINS[0]), float(MARGINS[1])
    right, bottom = float(max(MARGINS[0] + 1, width - MARGINS[2])), float(max(MARGINS[1] + 1, height - MARGINS[3]))
    last = max([1, total_epochs, *(epoch.number for epoch in epochs)])
    ceiling = nice_ceiling(max([epoch.loss for epoch in epochs], default=1.0))

    def x(number: int) -> float:
        return left + (right - left) * (number / last)

    def y(share: float) -> float:
        return bottom - (bottom - top) * min(1.0, max(0.0, share))

    return Curve(
        left, top, right, bottom,
        loss=tuple((x(epoch.number), y(epoch.loss / ceiling)) for epoch in epochs),
        dice=tuple((x(epoch.number), y(epoch.dice)) for epoch in epochs if epoch.dice is not None),
        loss_ticks=tuple(Tick(y(share), f"{share * ceiling:.2g}") for share in _GRID),
        dice_ticks=tuple(Tick(y(share), f"{share:.2g}") for share in (0.0, 0.5, 1.0)),
        epoch_ticks=tuple(Tick(x(number), str(number)) for number in tick_numbers(last)),
    )  # fmt: skip


def nice_ceiling(value: float) -> float:
    """Return the next round number, for the end of an axis.

    Examples:
        >>> nice_ceiling(0.37), nice_ceiling(1.2), nice_ceiling(0)
        (0.4, 2.0, 1.0)
    """
    if not math.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return float(next(round(step * power, 10) for step in (1, 2, 4, 6, 8, 10) if step * power >= value * (1 - 1e-9)))


def tick_numbers(last: int) -> list[int]:
    """Return which of the epochs (or cases) 1 to ``last`` get a label: at most six, including the last one.

    Examples:
        >>> tick_numbers(3), tick_numbers(40)
        ([1, 2, 3], [10, 20, 30, 40])
    """
    if last <= 5:
        return list(range(1, last + 1))
    step = next(step for step in (2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 2000, 5000, 10**9) if last / step <= 5)
    numbers = list(range(step, last + 1, step))
    if numbers[-1] != last:
        numbers = [number for number in numbers if last - number > step / 2] + [last]
    return numbers
