"""Copies of the four volumes for worker threads, one per timer tick: copying all at once would freeze the interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from TumorLoopLib.client.errors import ClientError
from TumorLoopLib.scene.inputs import Inputs
from TumorLoopLib.scene.volumes import VolumeSnapshot

Snapshots = dict[str, VolumeSnapshot]


@dataclass
class _Request:
    kind: str
    waiting: list[tuple[str, Any]]
    done: Callable[[Snapshots], None]
    failed: Callable[[ClientError], None]
    cancelled: Callable[[], None]
    taken: Snapshots = field(default_factory=dict)


class SnapshotQueue:
    """Copies the selected volumes, first request first.

    Args:
        inputs: The volumes.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._requests: list[_Request] = []

    @property
    def pending(self) -> frozenset[str]:
        """The kinds of the jobs that are waiting for copies."""
        return frozenset(request.kind for request in self._requests)

    def request(
        self,
        kind: str,
        parameters: Any,
        done: Callable[[Snapshots], None],
        failed: Callable[[ClientError], None],
        cancelled: Callable[[], None] = lambda: None,
    ) -> None:
        """Request copies of the volumes that are selected now.

        Args:
            kind: The kind of job that needs them.
            parameters: The parameter node.
            done: Called with the copies by role.
            failed: Called with the reason why a volume cannot be used.
            cancelled: Called by :meth:`cancel`.
        """
        waiting = list(self._inputs.chosen(parameters).items())
        self._requests.append(_Request(kind, waiting, done, failed, cancelled))

    def cancel(self, kind: str) -> None:
        """Cancel the requests of one kind of job, and call their ``cancelled``."""
        dropped = [request for request in self._requests if request.kind == kind]
        self._requests = [request for request in self._requests if request.kind != kind]
        for request in dropped:
            request.cancelled()

    def clear(self) -> None:
        """Drop all requests without a call."""
        self._requests = []

    def take_next(self) -> bool:
        """Copy one volume; return whether there was anything to do."""
        if not self._requests:
            return False
        request = self._requests[0]
        try:
            role, node = request.waiting.pop(0)
            request.taken[role] = self._inputs.snapshot(role, node)
        except ClientError as error:
            self._requests.pop(0)
            request.failed(error)
            return True
        if not request.waiting:
            self._requests.pop(0)
            request.done(request.taken)
        return True
