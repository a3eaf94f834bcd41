"""Which case to label next; cases that somebody else has claimed are skipped.

A strategy orders the unlabeled cases and proposes the first. A client that has not labeled the case it has open sends
its id as ``after`` and gets the next one, which after the last is the first.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import HTTPException
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from server_app.cases.datastore import CaseDatastore
from server_app.cases.scores import Scores
from server_app.common.params import flag, user_of
from server_app.errors import input_errors, unknown


class First(Strategy):
    """The first case without a final label, by its id."""

    def __init__(self) -> None:
        super().__init__("The first case without a final label")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the case's id, or ``None`` if every case is already labeled or claimed."""
        waiting = sorted(_waiting(request, datastore))
        return {"id": _chosen(waiting, request)} if waiting else None


class Random(Strategy):
    """Any case without a final label."""

    def __init__(self) -> None:
        super().__init__("Any case without a final label")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the case's id, or ``None`` if every case is already labeled or claimed."""
        waiting = _waiting(request, datastore)
        return {"id": random.choice(waiting)} if waiting else None


class UncertaintySampling(Strategy):
    """The case of which the served model is least certain (Lewis and Gale 1994, arXiv:cmp-lg/9407020).

    MONAI Label's own strategy of this kind measures the spread of many passes with dropout. This one uses the
    uncertainty of a single prediction (:mod:`training.prediction.quality`), which costs nothing.

    Args:
        scores: The served model's uncertainties.
    """

    def __init__(self, scores: Scores) -> None:
        super().__init__("The case without a final label with the most uncertain segmentation")
        self._scores = scores

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any] | None:
        """Return the next case, ``None`` if every case is already labeled or claimed.

        Cases that the served model has segmented come first, the least certain one before all; the others follow by id.

        Returns:
            ``id``; ``reason``, a sentence; and ``uncertainty``, 0 (certain) to 1, ``None`` if the served model has not
            segmented the case yet.
        """
        waiting = _waiting(request, datastore)
        if not waiting:
            return None
        version, scores = self._scores.of(datastore.labels.predictions, waiting)
        ranking = sorted(waiting, key=lambda case: (-scores.get(case, -1.0), case))
        case = _chosen(ranking, request)
        return {"id": case, "reason": _reason(case, version, scores, ranking), "uncertainty": scores.get(case)}


def propose(
    strategies: Mapping[str, Strategy], request: dict[str, Any], store: CaseDatastore, minutes: float
) -> dict[str, Any]:
    """Choose the next case to label, and claim it if requested.

    Args:
        strategies: By name.
        request: ``strategy`` (default ``first``), ``client_id``, ``claim``, ``after``.
        store: The cases.
        minutes: How long a claim lasts.

    Returns:
        The strategy's result, and ``path`` of the display volume, as MONAI Label does; empty if there is no case.

    Raises:
        HTTPException: 404 for an unknown strategy, 422 for a claim without ``client_id``.
    """
    name = str(request.get("strategy") or "first")
    if name not in strategies:
        raise unknown("strategy", f"There is no strategy {name[:80]!r}. Known: {', '.join(strategies)}.")
    with input_errors():
        claiming = flag(request, "claim")
    while True:
        found = strategies[name](request, store)
        if not found:
            return {}
        try:
            if claiming:
                store.claims.claim_for(found["id"], user_of(request), minutes)
            return {**found, "path": store.get_image_uri(found["id"])}
        except HTTPException as error:
            if error.status_code != 409:  # somebody else was faster: choose again
                raise


def _reason(case: str, version: str, scores: dict[str, float], ranking: Sequence[str]) -> str:
    """Return a sentence on why a case was chosen."""
    if not scores:
        return f"Model {version or 'none'} has not segmented any unlabeled case yet; cases are ordered by name."
    if case not in scores:
        return f"Model {version} has not segmented this case yet; such cases are ordered by name."
    rank = ranking.index(case) + 1
    return (
        f"Ranked {rank} of {len(scores)} unlabeled cases segmented by model {version}, "
        f"by uncertainty ({scores[case]:.2f} of 1)."
    )


def _chosen(ranking: Sequence[str], request: dict[str, Any]) -> str:
    """Return the case that follows the one named in ``after``; the first if that is not waiting."""
    after = request.get("after")
    place = ranking.index(after) + 1 if after in ranking else 0
    return ranking[place % len(ranking)]


def _waiting(request: dict[str, Any], datastore: Datastore) -> list[str]:
    assert isinstance(datastore, CaseDatastore)
    return datastore.unlabeled_for(user_of(request))
