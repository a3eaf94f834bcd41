"""Observers of MRML objects that can be removed together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Callback = Callable[[Any, str], None]


class Observers:
    """Keeps what it observes until :meth:`remove`; ``VTKObservationMixin`` keeps it forever."""

    def __init__(self) -> None:
        self._tags: list[tuple[Any, int]] = []

    def add(self, observed: Any, event: Any, callback: Callback) -> None:
        """Observe an event of an object."""
        self._tags.append((observed, observed.AddObserver(event, callback)))

    def remove(self) -> None:
        """End all observations and let go of the objects."""
        for observed, tag in self._tags:
            observed.RemoveObserver(tag)
        self._tags = []
