"""The picture of a learning curve: Dice of the unseen cases, and the time to correct the next one, by hospital."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.atomic import write_with


def draw_curves(report: Mapping[str, Any], path: Path) -> Path:
    """Draw one column for each hospital: the mean with the range over orders, one line for each strategy.

    Args:
        report: From :func:`training.learning.report.report_of`.
        path: A ``.png`` file to write.

    Returns:
        ``path``.
    """
    from matplotlib.figure import Figure  # without pyplot, there is no window and no global state

    names = list(dict.fromkeys(line["hospital"] for line in report["lines"]))
    figure = Figure(figsize=(3.2 * max(len(names), 2), 5.4), layout="constrained")
    axes = figure.subplots(2, len(names), squeeze=False, sharex=True, sharey="row")
    for column, name in enumerate(names):
        upper, lower = axes[0][column], axes[1][column]
        for line in report["lines"]:
            if line["hospital"] == name:
                _draw(upper, line, [row["dice"]["mean"] for row in line["rows"]], "by_order", 1)
                _draw(lower, line, [row["editing_seconds"] / 60 for row in line["rows"]], "editing_by_order", 60)
        upper.set_title(name)
        lower.set_xlabel("corrected cases")
        for axis in (upper, lower):
            axis.grid(alpha=0.3)
            axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0][0].set_ylabel("mean Dice of unseen cases")
    axes[1][0].set_ylabel("editing the next case (min)")
    axes[0][0].legend(fontsize="small")
    # last, since it ends the automatic scaling of the whole row
    axes[1][0].set_ylim(0, 1.1 * axes[1][0].get_ylim()[1])
    return write_with(path, lambda temporary: figure.savefig(temporary, dpi=110))


def _draw(axis: Any, line: Mapping[str, Any], means: Sequence[float], by_order: str, divisor: float) -> None:
    counts = [row["corrected"] for row in line["rows"]]
    ranges = [[value / divisor for value in row[by_order].values()] for row in line["rows"]]
    (drawn,) = axis.plot(counts, means, marker="o", markersize=3, label=line["strategy"])
    axis.fill_between(counts, list(map(min, ranges)), list(map(max, ranges)), color=drawn.get_color(), alpha=0.15)
