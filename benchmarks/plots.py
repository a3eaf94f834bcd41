"""Plots of cost against size with logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.outcome import Curve


def limits(values: Sequence[float]) -> tuple[float, float]:
    """Return the limits of an axis: at least a decade, so that what is flat does not look steep."""
    low, high = 0.7 * min(values), 1.4 * max(values)
    middle = math.sqrt(low * high)
    return min(low, middle / 4), max(high, middle * 4)


def draw(curve: Curve, path: Path) -> Path:
    """Draw a curve as PNG; return the path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure, axes = pyplot.subplots(figsize=(5.2, 3.6), dpi=110)
    for number, (name, points) in enumerate(curve.lines.items()):
        ordered = sorted(points)
        axes.plot([x for x, _ in ordered], [y for _, y in ordered], marker="os^Dv"[number % 5], label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):  # 1, 2, 5, 10 ...: powers of ten alone would be one or two
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, position: f"{value:,g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_ylim(*limits([y for points in curve.lines.values() for _, y in points]))
    axes.set(xlabel=curve.x, ylabel=curve.y, title=curve.name)
    axes.grid(True, which="both", alpha=0.25)
    axes.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)
    return path
