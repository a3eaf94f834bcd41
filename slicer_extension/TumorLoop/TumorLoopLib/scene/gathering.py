"""Copies of the four volumes for worker threads, made one per tick: all at once would keep the interface waiting."""

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


class Gathering:
    """Makes copies of the chosen volumes, in the order in which they were asked for.

    Args:
        inputs: The volumes.
    """

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._requests: list[_Request] = []

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of the jobs that wait for copies."""
        return frozenset(request.kind for request in self._requests)

    def begin(
        self,
        kind: str,
        parameters: Any,
        done: Callable[[Snapshots], None],
        failed: Callable[[ClientError], None],
        cancelled: Callable[[], None] = lambda: None,
    ) -> None:
        """Ask for copies of the volumes that are chosen now.

        Args:
            kind: Of the job that is to follow.
            parameters: The parameter node.
            done: Takes the copies by role.
            failed: Takes the reason why a volume cannot be used.
            cancelled: Called by :meth:`cancel`.
        """
        waiting = list(self._inputs.chosen(parameters).items())
        self._requests.append(_Request(kind, waiting, done, failed, cancelled))

    def cancel(self, kind: str) -> None:
        """Forget what was asked for, for one kind of job, and tell those who asked."""
        dropped = [request for request in self._requests if request.kind == kind]
        self._requests = [request for request in self._requests if request.kind != kind]
        for request in dropped:
            request.cancelled()

    def drop(self) -> None:
        """Forget all that was asked for."""
        self._requests = []

    def step(self) -> bool:
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
