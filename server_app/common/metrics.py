"""The server's metrics, for Prometheus.

Counters are module-level: there is one server per process. State that is not counted (the queue, the training, the
disk) is looked up when the metrics are read, see :class:`StateCollector`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

REQUESTS = Counter(
    "tumorloop_requests_total", "Requests, by response status.", ("route", "method", "status"), registry=REGISTRY
)
REQUEST_SECONDS = Histogram(
    "tumorloop_request_seconds",
    "Seconds from a request's head to the end of its response.",
    ("route", "method"),
    registry=REGISTRY,
    buckets=(0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
IN_PROGRESS = Gauge("tumorloop_requests_under_way", "Requests in progress.", registry=REGISTRY)
INFERENCES = Counter("tumorloop_inferences_total", "Inferences, by outcome.", ("outcome",), registry=REGISTRY)
INFERENCE_SECONDS = Histogram(
    "tumorloop_inference_seconds",
    "Seconds of computation of an inference, without waiting.",
    registry=REGISTRY,
    buckets=(0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600),
)
WORKER_DEATHS = Counter("tumorloop_worker_deaths_total", "Unexpected ends of the inference process.", registry=REGISTRY)


class StateCollector(Collector):
    """Gauges whose values are looked up when they are read.

    Args:
        state: Returns values by name; names are those of :data:`GAUGES`, any of which may be missing.
    """

    #: Name to description.
    GAUGES: Mapping[str, str] = {
        "inference_queue": "Inferences that are waiting or computing.",
        "training_running": "1 while a training runs.",
        "training_stalled": "1 while a running training has stalled.",
        "training_epoch": "Completed epochs of the last training.",
        "trainings_waiting": "Waiting training runs.",
        "disk_free_bytes": "Free space on the disk of the workspace.",
        "start_time_seconds": "When the server was started, Unix time.",
    }

    def __init__(self, state: Callable[[], Mapping[str, float]]) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Look the values up."""
        values = self._state()
        for name, description in self.GAUGES.items():
            if name in values:
                yield GaugeMetricFamily(f"tumorloop_{name}", description, value=values[name])

    def describe(self) -> Iterator[Metric]:
        """Return nothing: the values must not be looked up when the collector is registered."""
        return iter(())
