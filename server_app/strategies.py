"""Which case to label next; one that somebody else has claimed is passed over."""

from __future__ import annotations

import random
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from server_app.datastore import CaseDatastore
from server_app.submissions import user_of


class First(Strategy):
    """The first case without a final label, by its id."""

    def __init__(self) -> None:
        super().__init__("The first case without a final label")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the case's id, or ``None`` if all are labeled or claimed by others."""
        waiting = sorted(_waiting(request, datastore))
        return {"id": waiting[0]} if waiting else None


class Random(Strategy):
    """Any case without a final label."""

    def __init__(self) -> None:
        super().__init__("Any case without a final label")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the case's id, or ``None`` if all are labeled or claimed by others."""
        waiting = _waiting(request, datastore)
        return {"id": random.choice(waiting)} if waiting else None


def _waiting(request: dict[str, Any], datastore: Datastore) -> list[str]:
    assert isinstance(datastore, CaseDatastore)
    return datastore.waiting_for(user_of(request))
