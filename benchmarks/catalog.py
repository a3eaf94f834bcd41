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
    Benchmark("request_stages", "Request, stage by stage", (0.8, 0.5)),
    Benchmark("memory", "Start and memory of the server", (4.0, 1.2)),
    Benchmark("training_step", "Training step", (1.2, 0.6)),
    Benchmark("cases", "Training on many cases", (2.0, 0.8)),
    Benchmark("voxels", "Networks against the number of voxels", (1.5, 0.4)),
    Benchmark("preparation", "Preparation of cases", (0.7, 0.4)),
    Benchmark("evaluation", "Evaluation of a cohort", (0.8, 0.4)),
    Benchmark("phantoms", "Phantoms", (0.8, 0.4)),
    Benchmark("environment", "Installed environment", (0.1, 0.1)),
    Benchmark("cluster", "Many cases through Ray", (14.0, 2.0)),
)
