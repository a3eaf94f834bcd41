"""The geometry of the plot of corrections: Dice and minutes case by case, in pixels; and the same in words. No Qt here.

Pixels count from the top left corner. The Dice axis is on the left, that of the minutes on the right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.corrections import Corrections, VersionSummary
from TumorLoopLib.panel.curve import Point, Tick, nice_ceiling, tick_numbers
from TumorLoopLib.panel.formatting import ratio

#: Fewest cases that are drawn.
FEWEST = 2
#: Pixels left of, above, right of and below the plot.
MARGINS = (38, 36, 38, 20)
#: Fewest pixels between the labels of two model versions.
_LABEL_WIDTH = 42
#: A case takes at most that many times the median on the axis; longer ones lie at its end.
_LONGEST = 4.0


@dataclass(frozen=True)
class CorrectionPlot:
    """What is drawn.

    Attributes:
        left: First pixel of the plot; ``top``, ``right`` and ``bottom`` likewise.
        dice: One point per case.
        minutes: One point per case of which they are known.
        versions: Where a model version begins: a vertical line, and its name unless there is no space for it.
    """

    left: float
    top: float
    right: float
    bottom: float
    dice: tuple[Point, ...]
    minutes: tuple[Point, ...]
    versions: tuple[Tick, ...]
    dice_ticks: tuple[Tick, ...]
    minute_ticks: tuple[Tick, ...]
    case_ticks: tuple[Tick, ...]


def correction_plot(corrections: Corrections, width: int, height: int) -> CorrectionPlot:
    """Lay out the plot.

    Args:
        corrections: At least one case.
        width: Of the picture in pixels.
        height: Of the picture in pixels.
    """
    left, top = float(MARGINS[0]), float(MARGINS[1])
    right, bottom = float(max(MARGINS[0] + 1, width - MARGINS[2])), float(max(MARGINS[1] + 1, height - MARGINS[3]))
    cases = corrections.cases
    minutes = [case.active_minutes if corrections.editing else case.minutes for case in cases]
    known = [value for value in minutes if value is not None]
    floor, step = dice_scale(min(case.dice for case in cases))
    ceiling = nice_ceiling(min(max(known), _LONGEST * median(known))) if known else 1.0
    cut = any(value > ceiling for value in known)

    def x(position: float) -> float:
        return left + (right - left) * position / len(cases)

    def y(share: float) -> float:
        return bottom - (bottom - top) * min(1.0, max(0.0, share))

    steps = range(round((1.0 - floor) / step) + 1)
    shares = (0.0, 0.5, 1.0) if known else ()
    return CorrectionPlot(
        left, top, right, bottom,
        dice=tuple((x(at + 0.5), y((case.dice - floor) / (1.0 - floor))) for at, case in enumerate(cases)),
        minutes=tuple((x(at + 0.5), y(value / ceiling)) for at, value in enumerate(minutes) if value is not None),
        versions=_version_marks([case.version for case in cases], [x(at) for at in range(len(cases))]),
        dice_ticks=tuple(Tick(y(n * step / (1.0 - floor)), f"{floor + n * step:.1f}") for n in steps),
        minute_ticks=tuple(
            Tick(y(share), f"{share * ceiling:.3g}" + ("+" if cut and share == 1.0 else "")) for share in shares
        ),
        case_ticks=tuple(Tick(x(number - 0.5), str(number)) for number in tick_numbers(len(cases))),
    )  # fmt: skip


def dice_scale(lowest: float) -> tuple[float, float]:
    """Return where the axis of the Dice begins, below all values, and the step of its grid; it ends at 1.

    Examples:
        >>> dice_scale(0.83), dice_scale(0.62), dice_scale(0.27)
        ((0.8, 0.1), (0.6, 0.1), (0.2, 0.2))
    """
    step = 0.1 if lowest >= 0.5 else 0.2
    floor = min(0.8, math.floor(max(0.0, lowest) / step + 1e-9) * step)
    return round(floor, 1), step


def _version_marks(versions: Sequence[str], begins: Sequence[float]) -> tuple[Tick, ...]:
    """Return a mark before the first case of each version."""
    marks: list[Tick] = []
    labeled, known = -math.inf, set()
    for version, at in zip(versions, begins):
        if version in known:
            continue
        known.add(version)
        has_space = at - labeled >= _LABEL_WIDTH
        labeled = at if has_space else labeled
        marks.append(Tick(at, version if has_space else ""))
    return tuple(marks)


def corrections_text(corrections: Corrections) -> str:
    """Compare the model versions by their cases, newest first; of more than three, the last two and the first."""
    if len(corrections.cases) < FEWEST:
        return ""
    chosen = list(reversed(corrections.versions))
    if len(chosen) > 3:
        chosen = [*chosen[:2], chosen[-1]]
    head = _("Model against submitted labels, time until submission:")
    if corrections.editing:
        head = _("Model against submitted labels, time of editing:")
    return "\n".join([head, *(_version_text(version, editing=corrections.editing) for version in chosen)])


def _version_text(summary: VersionSummary, *, editing: bool) -> str:
    minutes = summary.active_minutes if editing else summary.minutes
    if summary.cases == 1:
        text = _("{version}: 1 case, Dice {dice}")
    else:
        text = _("{version}: {count} cases, mean Dice {dice}")
    parts = [text.format(version=summary.version, count=summary.cases, dice=ratio(summary.dice))]
    if minutes is not None:
        parts.append(_("median {minutes} min").format(minutes=f"{minutes:.1f}"))
    return ", ".join(parts)
