"""Plots of cost against size with logarithmic axes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.outcome import Curve


def draw(curve: Curve, path: Path) -> Path:
    """Draw a curve as PNG; return the path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.2, 3.6), dpi=110)
    for number, (name, points) in enumerate(curve.lines.items()):
        ordered = sorted(points)
        axes.plot([x for x, _ in ordered], [y for _, y in ordered], marker="os^Dv"[number % 5], label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 4 * low:  # what is flat must not look steep
        middle = (low * high) ** 0.5
        axes.set_ylim(middle / 4, middle * 4)
    axes.set(xlabel=curve.x, ylabel=curve.y, title=curve.name)
    axes.grid(True, which="both", alpha=0.25)
    axes.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)
    return path
