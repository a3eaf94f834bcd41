"""What a benchmark finds: figures, curves and remarks."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One number beside what it is compared with.

    Attributes:
        name: What was measured.
        value: The median, or the largest value where it is a peak.
        unit: ``s``, ``MiB`` ...
        peer: What does the same elsewhere, or the limit that the number is held against; empty if there is nothing.
        peer_value: Its number, in the same unit.
        bar: What the project wants, in words; empty if there is no bar.
        kept: Whether it is reached.
        runs: Number of measurements.
        low, high: The smallest and the largest of them.
        cpu: Median of the processor seconds, which a busy machine changes less.
    """

    name: str
    value: float
    unit: str = "s"
    peer: str = ""
    peer_value: float | None = None
    bar: str = ""
    kept: bool | None = None
    runs: int = 1
    low: float | None = None
    high: float | None = None
    cpu: float | None = None

    @property
    def ratio(self) -> float | None:
        """The peer's number over this one; ``None`` without a peer."""
        return self.peer_value / self.value if self.peer_value is not None and self.value > 0 else None


@dataclass(frozen=True)
class Curve:
    """Cost against size, for a plot with logarithmic axes.

    Attributes:
        name: Title of the plot.
        x, y: What the axes show, with units.
        lines: By name of a line, its points.
    """

    name: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Outcome:
    """What one benchmark found.

    Attributes:
        figures: In the order of the table.
        curves: For the plots.
        remarks: Sentences that belong to the numbers.
        seconds: How long measuring took.
    """

    figures: list[Figure] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Outcome:
        """Read what :meth:`to_json` has made."""
        curves = [
            Curve(**{**one, "lines": {name: [(x, y) for x, y in points] for name, points in one["lines"].items()}})
            for one in content["curves"]
        ]
        figures = [Figure(**one) for one in content["figures"]]
        return cls(figures, curves, list(content["remarks"]), float(content["seconds"]))


def median_of(name: str, values: Sequence[float], *, cpu: Sequence[float] = (), **more: Any) -> Figure:
    """Return a figure of several measurements; ``more`` as for :class:`Figure`."""
    return Figure(
        name,
        rounded(statistics.median(values)),
        runs=len(values),
        low=rounded(min(values)),
        high=rounded(max(values)),
        cpu=rounded(statistics.median(cpu)) if cpu else None,
        **more,
    )


def rounded(value: float) -> float:
    """Round to four significant digits: more would only be noise in the history."""
    return float(f"{value:.4g}")
