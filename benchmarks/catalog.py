"""All benchmarks, in the order in which they run and are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from benchmarks.context import Context
from benchmarks.outcome import Outcome


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        key: The name of its file in :mod:`benchmarks.parts`.
        title: Of its table.
        minutes: About how long it takes on two quiet cores; in full, and with ``--quick``.
    """

    key: str
    title: str
    minutes: tuple[float, float]

    def measure(self, context: Context) -> Outcome:
        """Run it."""
        function: Callable[[Context], Outcome] = import_module(f"benchmarks.parts.{self.key}").measure
        return function(context)


BENCHMARKS = (
    Benchmark("request", "Request: click to labelmap", (2.5, 1.2)),
    Benchmark("request_stages", "A request, stage by stage", (0.8, 0.4)),
    Benchmark("training_step", "Training step", (1.5, 0.7)),
)
