"""Which case to label next."""

from __future__ import annotations

import random
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy


class First(Strategy):
    """The first case without a final label, by its id."""

    def __init__(self) -> None:
        super().__init__("The first case without a final label")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the case's id, or ``None`` if all are labeled."""
        waiting = sorted(datastore.get_unlabeled_images())
        return {"id": waiting[0]} if waiting else None


class Random(Strategy):
    """Any case without a final label."""

    def __init__(self) -> None:
        super().__init__("Any case without a final label")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the case's id, or ``None`` if all are labeled."""
        waiting = datastore.get_unlabeled_images()
        return {"id": random.choice(waiting)} if waiting else None
